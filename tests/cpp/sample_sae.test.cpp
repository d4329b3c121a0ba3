// SAEs of trained models on another model, as a user would judge them: normalised mean squared error of the
// reconstruction.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "native_files.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/match.hpp"
#include "regauge/transport.hpp"
#include "scratch.hpp"

using namespace regauge;

namespace {

constexpr std::size_t kept = 16;  // of both SAEs

std::vector<float> tensor(const Files& files, const std::string& path, const std::string& name) {
    const TensorFile file = openTensorFile(files.open(path));
    const StoredTensor* stored = file.find(name);
    REQUIRE(stored != nullptr);
    std::vector<std::byte> bytes(static_cast<std::size_t>(stored->info.bytes));
    tensorBytes(file, static_cast<std::size_t>(stored - file.tensors.data()))->read(0, bytes);
    std::vector<float> values(static_cast<std::size_t>(*elementCount(stored->info.shape)));
    convertToFloat(bytes, stored->info.dtype, values);
    return values;
}

// sum |x - SAE(x)|^2 / sum |x - mean|^2 of a SAELens top-k SAE with apply_b_dec_to_input.
double nmse(const Files& files, const std::string& sae, const std::vector<float>& x) {
    const std::string path = sae + "/sae_weights.safetensors";
    const std::vector<float> encoder = tensor(files, path, "W_enc"), decoder = tensor(files, path, "W_dec"),
                             bias = tensor(files, path, "b_enc"), centre = tensor(files, path, "b_dec");
    const std::size_t d = centre.size(), latents = bias.size(), rows = x.size() / d;
    std::vector<double> mean(d, 0);
    for (std::size_t k = 0; k < x.size(); ++k) mean[k % d] += x[k] / static_cast<double>(rows);
    double error = 0, total = 0;
    for (std::size_t r = 0; r < rows; ++r) {
        std::vector<double> latent(bias.begin(), bias.end());
        for (std::size_t j = 0; j < d; ++j)
            for (std::size_t f = 0; f < latents; ++f)
                latent[f] += (static_cast<double>(x[r * d + j]) - centre[j]) * encoder[j * latents + f];
        std::vector<std::size_t> order(latents);
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::ranges::partial_sort(order, order.begin() + kept,
                                  [&](std::size_t a, std::size_t b) { return latent[a] > latent[b]; });
        std::vector<double> output(centre.begin(), centre.end());
        for (std::size_t k = 0; k < kept; ++k)
            for (std::size_t j = 0; j < d; ++j)
                output[j] += std::max(latent[order[k]], 0.0) * decoder[order[k] * d + j];
        for (std::size_t j = 0; j < d; ++j) {
            const double value = x[r * d + j];
            error += (value - output[j]) * (value - output[j]);
            total += (value - mean[j]) * (value - mean[j]);
        }
    }
    return error / total;
}

}  // namespace

TEST_CASE("an SAE moved with signs works on the target; moved by the baseline, or without signs, it does not") {
    // Expected: computed with NumPy in float64, by the samples' READMEs.
    struct Case {
        std::string sample, target, sae, site;
        double withSigns, withoutSigns, baselineAbove;
    };
    for (const Case& one : {Case{"shakespeare-d128", "target", "sae_resid2", "resid.2", 0.136, 1.778, 0.85},
                            Case{"../examples/tales-d64", "other_run", "sae_resid1", "resid.1", 0.0969, 1.3021, 0.6}}) {
        NativeFiles files;
        const std::string sample = std::string(REGAUGE_TEST_DATA) + "/" + one.sample + "/";
        const test::Scratch folder;
        const std::string evidence = sample + one.target + "/evidence.safetensors";
        const Evidence source = openEvidence(files, sample + "source/evidence.safetensors"),
                       target = openEvidence(files, evidence);
        const Alignment aligned = match(source, target);
        MatchOptions permutationOnly;
        permutationOnly.group = Group::permutation;
        const Alignment baseline = match(source, target, permutationOnly);
        Alignment signless = aligned;
        signless.gauge = Gauge(aligned.gauge.perm(), std::vector<std::int8_t>(aligned.gauge.d(), 1));

        const std::vector<float> x = tensor(files, evidence, "activations/" + one.site);
        TransportOptions force;  // the baseline has half of the channels wrong, and may say so
        force.force = true;
        const auto movedBy = [&](const Alignment& gauge, const std::string& name) {
            transport(files, sample + "source/" + one.sae, gauge, folder / name, force);
            return nmse(files, folder / name, x);
        };
        CHECK_THAT(movedBy(aligned, "signed"), Catch::Matchers::WithinAbs(one.withSigns, 5e-4));
        CHECK(movedBy(baseline, "baseline") > one.baselineAbove);
        CHECK_THAT(movedBy(signless, "signless"), Catch::Matchers::WithinAbs(one.withoutSigns, 5e-4));
    }
}

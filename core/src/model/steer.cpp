#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/all_finite.hpp"
#include "claims/claims.hpp"
#include "model/continue_past.hpp"
#include "model/log_probabilities.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// The mean over all positions of every token's log-probability. logits: [positions, vocabulary]
std::vector<double> meanLogProbabilities(std::span<const float> logits, std::size_t vocabulary) {
    std::vector<double> mean(vocabulary);
    for (std::size_t at = 0; at < logits.size(); at += vocabulary) {
        const std::vector<double> row = logProbabilities(logits.subspan(at, vocabulary));
        for (std::size_t token = 0; token < vocabulary; ++token) mean[token] += row[token];
    }
    for (double& value : mean) value /= static_cast<double>(logits.size() / vocabulary);
    return mean;
}

std::vector<double> minus(std::vector<double> a, const std::vector<double>& b) {
    for (std::size_t k = 0; k < a.size(); ++k) a[k] -= b[k];
    return a;
}

double pearson(const std::vector<double>& a, const std::vector<double>& b) {
    const auto mean = [](const std::vector<double>& x) {
        return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
    };
    const double meanA = mean(a), meanB = mean(b);
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        const double x = a[k] - meanA, y = b[k] - meanB;
        ab += x * y, aa += x * x, bb += y * y;
    }
    return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

void requireSame(const char* what, std::size_t found, std::size_t expected) {
    if (found != expected)
        throw Error(
            ErrorCode::dimensionMismatch, "",
            std::string(what) + " is " + std::to_string(found) + ", and the source's is " + std::to_string(expected));
}

float strengthOf(double strength) {
    if (!(std::fabs(strength) <= std::numeric_limits<float>::max()))
        throw Error(ErrorCode::usage, "",
                    "the strength must be a finite number of single precision, within 3.4e38 of 0");
    return static_cast<float>(strength);
}

}  // namespace

Model::ResidualHook hookOf(const Steering& steering, const ModelConfig& config) {
    const float strength = strengthOf(steering.strength);
    if (steering.vector.empty()) return {};
    if (steering.vector.size() != config.d)
        throw Error(ErrorCode::dimensionMismatch, "",
                    "the vector has " + std::to_string(steering.vector.size()) +
                        " channels, and the model d = " + std::to_string(config.d));
    std::vector<float> added = steering.vector;
    for (float& value : added) value *= strength;
    if (!allFinite(added))
        throw Error(ErrorCode::usage, "", "the vector times the strength is beyond the numbers of single precision");
    return [place = steering.place, added = std::move(added)](std::size_t at, std::span<float> residual) {
        if (at != place) return;
        for (std::size_t row = 0; row < residual.size(); row += added.size())
            for (std::size_t k = 0; k < added.size(); ++k) residual[row + k] += added[k];
    };
}

std::size_t placeOf(std::string_view site, const ModelConfig& config) {
    constexpr std::string_view prefix = "resid.";
    std::size_t place = 0;
    const char* end = site.data() + site.size();
    const bool named = site.starts_with(prefix);
    const auto [stopped, error] = std::from_chars(site.data() + (named ? prefix.size() : 0), end, place);
    if (!named || error != std::errc() || stopped != end || place > config.layers)
        throw Error(ErrorCode::usage, "",
                    "the site '" + std::string(site) + "' is none of this model's: resid.0 (the embedding) to resid." +
                        std::to_string(config.layers) + " (what the last layer puts out)");
    return place;
}

std::vector<float> readSteeringVector(const Files& files, const std::string& object, std::size_t d,
                                      std::optional<std::size_t> row) {
    const std::unique_ptr<Claims> claims = openVectors(files, object, std::nullopt, d);
    if (claims->d() != d)
        throw Error(ErrorCode::dimensionMismatch, object,
                    "has d = " + std::to_string(claims->d()) + ", and the model has d = " + std::to_string(d));
    const std::vector<Claim> vectors = claims->stated();
    if (!row && vectors.size() == 1) row = 0;
    if (!row || *row >= vectors.size())
        throw Error(ErrorCode::usage, object,
                    "holds " + std::to_string(vectors.size()) + " vectors; choose one by its row, 0 to " +
                        std::to_string(vectors.size() - 1));
    std::vector<float> vector(d);
    for (std::size_t k = 0; k < d; ++k)
        vector[k] = static_cast<float>(vectors[*row].magnitude[k] * vectors[*row].sign[k]);
    return vector;
}

SteerReport steer(const Model& source, const Model& target, std::span<const float> vector, const Gauge& gauge,
                  std::span<const std::int64_t> prompt, const SteerOptions& options, const Progress& progress) {
    strengthOf(options.strength);
    if (prompt.empty()) throw Error(ErrorCode::usage, "", "the prompt is empty; give at least one token");
    const std::size_t vocabulary = source.config().vocabulary;
    requireSame("the target's d", target.config().d, source.config().d);
    requireSame("the gauge's d", gauge.d(), source.config().d);
    requireSame("the target's vocabulary", target.config().vocabulary, vocabulary);

    SteerReport report;
    report.place = placeOf(options.site, source.config());
    placeOf(options.site, target.config());
    report.strength = options.strength;
    report.positions = prompt.size();

    const std::vector<float> x(vector.begin(), vector.end());
    const Gauge unsignedGauge(gauge.perm(), std::vector<std::int8_t>(gauge.d(), 1));
    struct Plan {
        const char* name;
        const Model& model;
        std::vector<float> vector;
    };
    const Plan plans[] = {{"source", source, {}},
                          {"source-steered", source, x},
                          {"target", target, {}},
                          {"target-moved", target, regauge::apply(gauge, x)},
                          {"target-permuted", target, regauge::apply(unsignedGauge, x)},
                          {"target-not-moved", target, x}};

    std::vector<double> plain, inSource;  // of the model at hand without the vector; the rises in the source
    std::vector<std::size_t> promoted;
    for (std::size_t k = 0; k < std::size(plans); ++k) {
        const Plan& plan = plans[k];
        const Progress own([&](std::string_view, std::uint64_t done, std::uint64_t total) {
            progress.report("steering", k * total + done, std::size(plans) * total);
            return true;
        });
        const Model::ResidualHook hook = hookOf({report.place, plan.vector, options.strength}, plan.model.config());
        SteerReport::Arm& arm = report.arms.emplace_back();
        arm.name = plan.name;
        Model::Past past;
        const std::vector<float> logits = plan.model.logits(prompt, past, hook);
        if (!allFinite(logits))
            throw Error(ErrorCode::notFinite, "",
                        plan.vector.empty()
                            ? std::string("the ") + plan.name + " computes logits that are not finite"
                            : std::string("the logits of ") + plan.name + " are not finite; take a smaller strength");
        arm.continuation =
            continuePast(plan.model, past, std::span(logits).last(vocabulary), hook, options.generate, own);
        const std::vector<double> mean = meanLogProbabilities(logits, vocabulary);
        if (plan.vector.empty()) {
            plain = mean;
            continue;
        }
        const std::vector<double> rise = minus(mean, plain);
        if (inSource.empty()) {
            inSource = rise;
            promoted.resize(vocabulary);
            std::iota(promoted.begin(), promoted.end(), std::size_t{0});
            std::ranges::stable_sort(promoted, [&](std::size_t a, std::size_t b) { return rise[a] > rise[b]; });
            promoted.resize(std::min(options.promoted, vocabulary));
            for (const std::size_t token : promoted)
                report.promoted.push_back({static_cast<std::int64_t>(token), rise[token]});
        }
        for (const std::size_t token : promoted) arm.effect += rise[token] / static_cast<double>(promoted.size());
        arm.agreement = pearson(rise, inSource);
    }
    return report;
}

}  // namespace regauge

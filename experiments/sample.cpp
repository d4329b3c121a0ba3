#include "sample.hpp"

#include "corpus.hpp"
#include "objects.hpp"

namespace regauge::experiments {
namespace fs = std::filesystem;
namespace {

// NumPy's format, version 1.0: float32 or int64, row-major.
void writeNpy(const fs::path& file, const torch::Tensor& tensor) {
    const torch::Tensor flat = tensor.detach().contiguous();
    std::string shape;
    for (const std::int64_t size : flat.sizes()) shape += std::to_string(size) + ", ";
    std::string header = std::string("{'descr': '") + (flat.scalar_type() == torch::kInt64 ? "<i8" : "<f4") +
                         "', 'fortran_order': False, 'shape': (" + shape + "), }";
    header.resize((header.size() + 10) / 64 * 64 + 64 - 11, ' ');
    header += '\n';
    std::string text = "\x93NUMPY";
    text += {1, 0, static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
    text += header;
    text.append(static_cast<const char*>(flat.data_ptr()), flat.nbytes());
    writeText(file, text);
}

std::string jsonOf(const Gauge& gauge) {
    std::string perm, sign;
    for (std::size_t i = 0; i < gauge.d(); ++i) {
        perm += (i ? ", " : "") + std::to_string(gauge.perm()[i]);
        sign += (i ? ", " : "") + std::to_string(gauge.sign()[i]);
    }
    return "{\"perm\": [" + perm + "], \"sign\": [" + sign + "]}";
}

// The bytes of texts as token ids, one sequence a line.
std::string idsOf(const std::vector<std::string>& texts) {
    std::string sequences;
    for (const std::string& text : texts) {
        std::string ids;
        for (const char byte : text)
            ids += (ids.empty() ? "" : ", ") + std::to_string(static_cast<unsigned char>(byte));
        sequences += (sequences.empty() ? "" : ",\n") + ("[" + ids + "]");
    }
    return "[\n" + sequences + "\n]\n";
}

void copyModel(const fs::path& from, const fs::path& evidence, const fs::path& to) {
    fs::create_directories(to);
    for (const char* file : {"config.json", "model.safetensors"})
        fs::copy_file(from / file, to / file, fs::copy_options::overwrite_existing);
    fs::copy_file(evidence, to / "evidence.safetensors", fs::copy_options::overwrite_existing);
}

}  // namespace

void writeSample(const Settings& settings, const fs::path& folder) {
    const Point source = objectSource(settings, 0);
    const std::vector<Pair> pairs = objectPairs(settings, 0);
    const fs::path home = published(settings, source), out = folder / "source";
    copyModel(home, evidenceOf(settings, source), out);
    copyModel(pairs[1].targetFolder, evidenceOf(settings, pairs[1].target), folder / "target");
    copyModel(pairs[2].targetFolder, evidenceOf(settings, pairs[2].target), folder / "other_run");
    writeText(folder / "truth.json",
              "{\"convention\": \"y[i] = sign[i] * x[perm[i]]; x in the source model coordinates, y in the named model "
              "coordinates\", \"gauges\": {\"source\": " +
                  jsonOf(Gauge::identity(pairs[1].truth.d())) + ", \"target\": " + jsonOf(pairs[1].truth) +
                  ", \"other_run\": " + jsonOf(pairs[2].truth) + "}}\n");

    const std::string at = "_resid" + std::to_string(settings.shape.layers);
    writeNpy(out / ("sentiment" + at + ".npy"), readTensors(vectorOf(settings, 0, "sentiment")).front().second);
    writeNpy(out / ("refusal" + at + ".npy"), readTensors(vectorOf(settings, 0, "refusal")).front().second);
    const fs::path sae = saeOf(settings, 0), copied = out / ("sae_resid" + std::to_string(saePlace));
    fs::create_directories(copied);
    for (const char* file : {"cfg.json", "sae_weights.safetensors"})
        fs::copy_file(sae / file, copied / file, fs::copy_options::overwrite_existing);
    const torch::Tensor tokens = evidenceTokens(settings);
    writeNpy(out / "tokens.npy", tokens);
    writeText(out / "requests.json", idsOf(requestPrompts(false, false, 0xa5c)));
    torch::NoGradGuard noGrad;
    writeNpy(out / "logits_first_sequence.npy", Llama(settings.shape, home).logits(tokens.slice(0, 0, 1))[0]);
}

}  // namespace regauge::experiments

// Activation bundles and plain rows.
#include <algorithm>

#include "evidence/kinds.hpp"
#include "io/bytes.hpp"
#include "regauge/io/checkpoint_files.hpp"

namespace regauge {
namespace {

constexpr std::string_view activationsPrefix = "activations/";
constexpr std::string_view gainsPrefix = "gains/";
constexpr std::string_view rowEndings[] = {".npy", ".npz", ".pt", ".safetensors"};

// token_ids and attention_mask, in bundles and beside plain rows alike. True where `name` was one of them. token_ids
// [N, T] also tell the length of a sequence.
bool takePerRow(Evidence& evidence, std::string_view name, const TensorRef& tensor, std::uint64_t& sequence) {
    if (name == "token_ids" || name == "input_ids") {
        evidence.tokenIds = readIntegers(tensor);
        if (tensor.info().shape.size() == 2) sequence = tensor.info().shape[1];
    } else if (name == "attention_mask") {
        const std::vector<std::int64_t> values = readIntegers(tensor);
        evidence.mask.emplace(values.size());
        std::transform(values.begin(), values.end(), evidence.mask->begin(),
                       [](std::int64_t value) { return static_cast<std::uint8_t>(value != 0); });
    } else {
        return false;
    }
    return true;
}

void addSite(Evidence& evidence, std::string name, const TensorRef& tensor) {
    if (evidence.sites.empty() && evidence.d == 0 && !tensor.info().shape.empty())
        evidence.d = static_cast<std::size_t>(tensor.info().shape.back());
    Site site;
    site.name = std::move(name);
    site.rows = rowsOf(tensor);
    site.sequence = sequenceOf(tensor.info().shape);
    evidence.sites.push_back(std::move(site));
}

// Rows that were flattened before they were saved have lost their sequences; the token ids may still know.
void setSequence(Evidence& evidence, std::uint64_t sequence) {
    for (Site& site : evidence.sites) {
        if (site.sequence == 0 && sequence != 0 && site.rows->rows() % sequence == 0) site.sequence = sequence;
    }
}

std::string stemOf(const std::string& name) {
    const std::size_t dot = name.find_last_of('.');
    return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

}  // namespace

bool looksLikeBundle(const TensorFile& file) {
    return std::any_of(file.tensors.begin(), file.tensors.end(), [](const StoredTensor& tensor) {
        return tensor.info.name.starts_with(activationsPrefix) || tensor.info.name.starts_with(gainsPrefix);
    });
}

Evidence bundleEvidence(const std::shared_ptr<const TensorFile>& file) {
    Evidence evidence;
    std::uint64_t sequence = 0;
    for (std::size_t i = 0; i < file->tensors.size(); ++i) {
        const TensorRef tensor{file, i};
        const std::string& name = tensor.info().name;
        if (name.starts_with(activationsPrefix)) {
            addSite(evidence, name.substr(activationsPrefix.size()), tensor);
        } else if (name.starts_with(gainsPrefix)) {
            if (tensor.info().shape.size() != 1)
                throw Error(ErrorCode::shapeMismatch, tensor.where(),
                            "gains should be [d], found " + toString(tensor.info().shape));
            evidence.gains.push_back({name.substr(gainsPrefix.size()), readGains(tensor, 0)});
        } else if (!takePerRow(evidence, tensor.info().name, tensor, sequence)) {
            throw Error(ErrorCode::unsupported, tensor.where(),
                        "not understood in an evidence bundle; expected activations/<site>, gains/<site>, token_ids or "
                        "attention_mask");
        }
    }
    if (evidence.d == 0 && !evidence.gains.empty()) evidence.d = evidence.gains.front().values.size();
    for (const Gains& gains : evidence.gains) {
        if (gains.values.size() != evidence.d) {
            throw Error(ErrorCode::shapeMismatch, placeOf(file->source->name(), std::string(gainsPrefix) + gains.name),
                        std::to_string(gains.values.size()) + " gains for d = " + std::to_string(evidence.d));
        }
    }
    setSequence(evidence, sequence);
    return evidence;
}

Evidence plainEvidence(const std::shared_ptr<const TensorFile>& file) {
    const std::string& where = file->source->name();
    if (file->format == FileFormat::gguf)
        throw Error(ErrorCode::unsupported, where,
                    "a GGUF file is no evidence; give the safetensors checkpoint it was made from, or activations");
    Evidence evidence;
    std::uint64_t sequence = 0;
    std::vector<TensorRef> floats;
    std::vector<TensorRef> others;
    for (std::size_t i = 0; i < file->tensors.size(); ++i) {
        const TensorRef tensor{file, i};
        if (takePerRow(evidence, tensor.info().name, tensor, sequence)) continue;
        (isRowDtype(tensor.info().dtype) && tensor.stored().quantized.empty() ? floats : others).push_back(tensor);
    }
    if (floats.empty() && !others.empty()) rowsOf(others.front());  // refuses, and says why
    if (floats.size() == 1) {
        addSite(evidence, "rows", floats.front());
    } else {
        // One-dimensional tensors beside the rows are means, norms or biases, not activations.
        for (const TensorRef& tensor : floats) {
            if (tensor.info().shape.size() > 1) addSite(evidence, tensor.info().name, tensor);
        }
    }
    if (evidence.sites.empty())
        throw Error(ErrorCode::shapeMismatch, where, "expected rows of activations [.., d], found none");
    setSequence(evidence, sequence);
    return evidence;
}

Evidence folderOfRows(const Files& files, const std::string& folder) {
    Evidence evidence;
    std::uint64_t sequence = 0;
    for (const std::string& name : files.list(folder)) {
        if (std::none_of(std::begin(rowEndings), std::end(rowEndings),
                         [&](std::string_view ending) { return name.ends_with(ending); }))
            continue;
        const auto file = std::make_shared<const TensorFile>(openTensorFile(files.open(joinPath(folder, name))));
        if (file->tensors.size() != 1) {
            throw Error(ErrorCode::ambiguous, joinPath(folder, name),
                        "in a folder of rows every file should hold one array, this one holds " +
                            std::to_string(file->tensors.size()) + "; give the file itself");
        }
        const TensorRef tensor{file, 0};
        const std::string stem = stemOf(name);
        if (takePerRow(evidence, stem, tensor, sequence)) continue;
        addSite(evidence, stem, tensor);
    }
    if (evidence.sites.empty()) {
        throw Error(ErrorCode::missingFile, folder,
                    "expected evidence in this folder: a checkpoint (config.json and model.safetensors), "
                    "evidence.safetensors, or .npy files of rows");
    }
    setSequence(evidence, sequence);
    return evidence;
}

}  // namespace regauge

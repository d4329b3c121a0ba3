// Activation bundles and plain rows.
#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "evidence/kinds.hpp"
#include "io/bytes.hpp"
#include "recipes/stream_roles.hpp"
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

// Adds the rows, unless their name is a hook's that is in no residual stream: then says so, for the case that nothing
// else is there.
void addSite(Evidence& evidence, std::string name, const TensorRef& tensor, std::string& leftOut) {
    if (const auto what = otherSpace(name)) {
        leftOut = "'" + name + "' is " + *what;
        return;
    }
    if (evidence.sites.empty() && evidence.d == 0 && !tensor.info().shape.empty())
        evidence.d = static_cast<std::size_t>(tensor.info().shape.back());
    Site site;
    site.name = std::move(name);
    site.rows = rowsOf(tensor);
    site.sequence = sequenceOf(tensor.info().shape);
    evidence.sites.push_back(std::move(site));
}

// leftOut: of addSite.
void requireSites(const Evidence& evidence, const std::string& where, const std::string& leftOut) {
    if (evidence.sites.empty() && evidence.gains.empty() && !leftOut.empty())
        throw Error(ErrorCode::unsupported, where,
                    leftOut +
                        ", not residual coordinates, and nothing else is there; collect the residual stream, such "
                        "as blocks.3.hook_resid_post");
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

// Several readers, one behind the other.
class JoinedRows : public RowReader {
public:
    // All of one width and one element type.
    explicit JoinedRows(std::vector<std::shared_ptr<const RowReader>> parts) : parts_(std::move(parts)) {
        ends_.reserve(parts_.size());
        for (const auto& part : parts_) ends_.push_back((ends_.empty() ? 0 : ends_.back()) + part->rows());
    }
    std::uint64_t rows() const override { return ends_.back(); }
    std::size_t d() const override { return parts_.front()->d(); }
    Dtype dtype() const override { return parts_.front()->dtype(); }
    const std::string& where() const override { return parts_.front()->where(); }
    void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
        const std::size_t rowBytes = d() * byteSize(dtype());
        while (count > 0) {
            const auto part =
                static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), first) - ends_.begin());
            const std::uint64_t begin = ends_[part] - parts_[part]->rows(),
                                taken = std::min(count, ends_[part] - first);
            const std::size_t bytes = static_cast<std::size_t>(taken) * rowBytes;
            parts_[part]->read(first - begin, taken, out.first(bytes));
            out = out.subspan(bytes);
            first += taken, count -= taken;
        }
    }

private:
    std::vector<std::shared_ptr<const RowReader>> parts_;
    std::vector<std::uint64_t> ends_;  // the row behind each part
};

// A member of a list, or of a list of lists: "acts.3" is {"acts", 3} and "2.7" is {"", 2, 7}.
struct Listed {
    std::string list;
    std::vector<std::uint64_t> at;
    const TensorRef* tensor = nullptr;
};

Listed listed(const TensorRef& tensor) {
    Listed result{tensor.info().name, {}, &tensor};
    while (result.at.size() < 2) {
        const std::size_t dot = result.list.rfind('.'), begin = dot == std::string::npos ? 0 : dot + 1;
        std::uint64_t number = 0;
        const char* const end = result.list.data() + result.list.size();
        const auto [stop, error] = std::from_chars(result.list.data() + begin, end, number);
        if (error != std::errc() || stop != end) break;
        result.at.insert(result.at.begin(), number);
        result.list.resize(dot == std::string::npos ? 0 : dot);
    }
    return result;
}

std::uint64_t rowCount(const TensorRef& tensor) { return rowsOf(tensor)->rows(); }

// Lists of tensors, one a prompt: prompts differ in length, and layers of one pass do not. So where the lengths of a
// list differ, its tensors are one site's rows, one behind the other; in lists of lists the index over which lengths
// agree is the layer, and each layer a site. A list of vectors [d] is a site, too.
// False where there is no such list: then every tensor is what its name says.
bool addJoined(Evidence& evidence, const std::vector<TensorRef>& floats) {
    const bool matrices = std::any_of(floats.begin(), floats.end(),
                                      [](const TensorRef& tensor) { return tensor.info().shape.size() > 1; });
    std::map<std::string, std::vector<Listed>> lists;
    for (const TensorRef& tensor : floats) {
        if (matrices && tensor.info().shape.size() < 2) continue;
        Listed one = listed(tensor);
        if (one.at.empty()) return false;
        const bool alike = lists.empty() || (lists.begin()->second.front().at.size() == one.at.size() &&
                                             one.tensor->info().dtype == floats.front().info().dtype &&
                                             one.tensor->info().shape.back() == floats.front().info().shape.back());
        if (!alike || one.tensor->info().shape.empty()) return false;
        lists[one.list].push_back(std::move(one));
    }
    std::map<std::string, std::vector<Listed>> sites;
    for (auto& [name, listed] : lists) {
        std::vector<Listed>& members = listed;           // a lambda may not name a binding in Clang 14
        const auto agreeOver = [&](std::size_t fixed) {  // whether the lengths depend on this index alone, and do
            std::map<std::uint64_t, std::uint64_t> lengths;
            bool differ = false;
            for (const Listed& one : members) {
                const std::uint64_t rows = rowCount(*one.tensor);
                if (lengths.emplace(one.at[fixed], rows).first->second != rows) return false;
                differ = differ || rows != lengths.begin()->second;
            }
            return differ;
        };
        const bool nested = members.front().at.size() == 2;
        const bool vectors = !matrices && !nested && members.size() > 1;
        const std::optional<std::size_t> prompt = vectors || agreeOver(0)  ? std::optional<std::size_t>(0)
                                                  : nested && agreeOver(1) ? std::optional<std::size_t>(1)
                                                                           : std::nullopt;
        if (!prompt) return false;
        for (Listed& one : members) {
            const std::string layer = nested ? std::to_string(one.at[1 - *prompt]) : "";
            const std::string site = name.empty() || layer.empty() ? name + layer : name + "." + layer;
            if (*prompt == 1) std::swap(one.at[0], one.at[1]);
            sites[site.empty() ? "rows" : site].push_back(std::move(one));
        }
    }
    for (auto& [name, members] : sites) {
        std::sort(members.begin(), members.end(), [](const Listed& a, const Listed& b) { return a.at < b.at; });
        std::vector<std::shared_ptr<const RowReader>> parts;
        for (const Listed& one : members) parts.push_back(rowsOf(*one.tensor));
        Site site;
        site.name = name;
        site.rows = std::make_shared<JoinedRows>(std::move(parts));
        evidence.d = site.rows->d();
        evidence.sites.push_back(std::move(site));
    }
    return !sites.empty();
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
    std::string leftOut;
    for (std::size_t i = 0; i < file->tensors.size(); ++i) {
        const TensorRef tensor{file, i};
        const std::string& name = tensor.info().name;
        if (name.starts_with(activationsPrefix)) {
            addSite(evidence, name.substr(activationsPrefix.size()), tensor, leftOut);
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
    requireSites(evidence, file->source->name(), leftOut);
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
                    "this GGUF file holds no model (no token_embd.weight), and only models are evidence; give two "
                    "models, or activations");
    Evidence evidence;
    std::uint64_t sequence = 0;
    std::string leftOut;
    std::vector<TensorRef> floats;
    std::vector<TensorRef> others;
    for (std::size_t i = 0; i < file->tensors.size(); ++i) {
        const TensorRef tensor{file, i};
        if (takePerRow(evidence, tensor.info().name, tensor, sequence)) continue;
        (isRowDtype(tensor.info().dtype) && tensor.stored().quantized.empty() ? floats : others).push_back(tensor);
    }
    if (floats.empty() && !others.empty()) rowsOf(others.front());  // refuses, and says why
    if (floats.size() == 1) {
        addSite(evidence, "rows", floats.front(), leftOut);
    } else if (!addJoined(evidence, floats)) {
        // One-dimensional tensors beside the rows are means, norms or biases, not activations.
        for (const TensorRef& tensor : floats) {
            if (tensor.info().shape.size() > 1) addSite(evidence, tensor.info().name, tensor, leftOut);
        }
    }
    requireSites(evidence, where, leftOut);
    if (evidence.sites.empty())
        throw Error(ErrorCode::shapeMismatch, where, "expected rows of activations [.., d], found none");
    setSequence(evidence, sequence);
    return evidence;
}

Evidence tableEvidence(const std::shared_ptr<const TensorFile>& file) {
    Evidence evidence;
    std::uint64_t sequence = 0;
    std::string leftOut;
    for (std::size_t i = 0; i < file->tensors.size(); ++i) {
        const TensorRef tensor{file, i};
        if (!takePerRow(evidence, tensor.info().name, tensor, sequence) && isRowDtype(tensor.info().dtype))
            addSite(evidence, tensor.info().name, tensor, leftOut);
    }
    requireSites(evidence, file->source->name(), leftOut);
    if (evidence.sites.empty()) {
        for (std::size_t i = 0; i < file->tensors.size(); ++i)
            if (file->tensors[i].info.dtype == Dtype::U16) rowsOf({file, i});  // refuses, and says what to do
        std::string found;
        for (const StoredTensor& tensor : file->tensors)
            found += (found.empty() ? "" : ", ") + tensor.info.name + " (" + std::string(name(tensor.info.dtype)) + ")";
        for (const auto& [column, reason] : file->metadata)
            found += (found.empty() ? "" : ", ") + column + " (" + reason + ")";
        throw Error(ErrorCode::shapeMismatch, file->source->name(),
                    "expected a column of activations, lists of floats of one length, and found " + found);
    }
    setSequence(evidence, sequence);
    return evidence;
}

Evidence folderOfRows(const Files& files, const std::string& folder) {
    Evidence evidence;
    std::uint64_t sequence = 0;
    std::string leftOut;
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
        addSite(evidence, stem, tensor, leftOut);
    }
    requireSites(evidence, folder, leftOut);
    if (evidence.sites.empty()) {
        for (const std::string& name : files.list(folder))
            if (name.ends_with(".parquet"))
                openTensorFile(files.open(joinPath(folder, name)));  // refuses, and says what to do
        throw Error(ErrorCode::missingFile, folder,
                    "expected evidence in this folder: a checkpoint (config.json and model.safetensors), "
                    "evidence.safetensors, or .npy files of rows");
    }
    setSequence(evidence, sequence);
    return evidence;
}

}  // namespace regauge

// A folder's files with the hidden axes of their tensors moved: everything that reads files sees the moved model.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "hidden/moved_axis.hpp"
#include "hidden/roles.hpp"
#include "io/bytes.hpp"
#include "io/composed_source.hpp"
#include "recipes/name_pattern.hpp"
#include "recipes/recipe_table.hpp"
#include "recipes/stream_roles.hpp"
#include "regauge/error.hpp"
#include "regauge/hidden.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {
namespace {

constexpr std::size_t noAxis = 2;

// Which hidden axis a tensor has, if any, and whose.
struct Part {
    std::vector<HiddenRole> roles;
    std::size_t layer = 0, axis = noAxis;
    bool gains = false;  // of a norm over all heads together: they change places and nothing else
};
using Parts = std::map<std::string, Part, std::less<>>;

// By a tensor's own name: weights and biases of the layout's modules, and the factors of their LoRA adapters. The bias
// of what writes the stream, and the factor on the stream's side, have none.
Parts partsOf(const HiddenLayout& layout, const HiddenShape& shape) {
    Parts parts;
    for (std::size_t layer = 0; layer < shape.layers; ++layer) {
        for (const HiddenRole role : hiddenRoles) {
            const std::string module = layout.module(role, layer);
            const std::vector<HiddenRole> roles = layout.together(role);
            const bool last = sumsOverHidden(role);
            parts[module + ".weight"] = {roles, layer, last ? std::size_t{1} : std::size_t{0}};
            parts[module + ".bias"] = parts[module + ".lora_B.weight"] =
                parts[module + ".lora_B.bias"] = {roles, layer, last ? noAxis : 0};
            parts[module + ".lora_A.weight"] = {roles, layer, last ? 1 : noAxis};
        }
        for (const auto& [norm, role] :
             {std::pair(layout.queryNorm, HiddenRole::query), std::pair(layout.keyNorm, HiddenRole::key)})
            if (!norm.empty()) parts[inLayer(norm, layer) + ".weight"] = {{role}, layer, 0, true};
    }
    return parts;
}

class MovedHiddenFiles final : public Files {
public:
    MovedHiddenFiles(Files& files, const HiddenGauge& hidden, std::string under)
        : files_(files), hidden_(hidden), under_(std::move(under)) {
        for (const HiddenLayout& layout : hiddenLayouts()) {
            parts_.merge(partsOf(layout, hidden.shape()));
            for (const std::string& module : layout.modules) modules_.push_back(module + "{any}");
        }
    }

    bool exists(const std::string& path) const override { return files_.exists(path); }
    bool isFolder(const std::string& path) const override { return files_.isFolder(path); }
    std::vector<std::string> list(const std::string& folder) const override { return files_.list(folder); }
    std::unique_ptr<Output> create(const std::string& path, bool folder, bool overwrite) override {
        return files_.create(path, folder, overwrite);
    }

    std::unique_ptr<ByteSource> open(const std::string& path) const override {
        std::unique_ptr<ByteSource> source = files_.open(path);
        const auto& endings = sharedRules().tensorFileEndings;
        const bool tensors = std::ranges::any_of(endings, [&](const auto& ending) { return path.ends_with(ending); });
        if (!tensors || !concerns(path)) return source;
        if (path.ends_with(".safetensors")) return moved(std::move(source));
        refuseHidden(path);
        return source;
    }

private:
    bool concerns(const std::string& path) const {
        return under_.empty() || path == under_ || path.starts_with(under_ + "/");
    }

    // Whether a name is of a module with a hidden axis, whatever comes behind it.
    bool isHidden(const std::string& name) const {
        if (ofOtherStream(name)) return false;
        const std::string own = ownName(name);
        return std::ranges::any_of(modules_,
                                   [&](const auto& pattern) { return matchName(pattern, own).has_value(); }) ||
               matchName("blk.{l}.attn_{any}", name) || matchName("blk.{l}.ffn_{any}", name);
    }
    [[noreturn]] static void refuse(const std::string& where, const std::string& why) {
        throw Error(ErrorCode::unsupported, where,
                    "has a hidden axis (heads or MLP neurons), and " + why +
                        "; a gauge without a hidden part moves the residual stream alone");
    }
    void refuseHidden(const std::string& path) const {
        std::optional<TensorFile> file;
        try {
            file = openTensorFile(std::shared_ptr<const ByteSource>(files_.open(path)));
        } catch (const Error&) {
            return;  // whoever wants to read it will say why it cannot be read
        }
        for (const StoredTensor& tensor : file->tensors)
            if (isHidden(tensor.info.name))
                refuse(placeOf(path, tensor.info.name),
                       "hidden axes move in .safetensors files, not in " + std::string(regauge::name(file->format)));
    }

    std::unique_ptr<ByteSource> moved(std::shared_ptr<const ByteSource> source) const {
        const TensorFile file = openTensorFile(source);
        std::vector<std::size_t> order(file.tensors.size());
        for (std::size_t k = 0; k < order.size(); ++k) order[k] = k;
        std::ranges::sort(order, {}, [&](std::size_t k) { return file.tensors[k].info.offset; });
        auto composed = std::make_unique<ComposedSource>(source->name());
        std::uint64_t at = 0;
        const auto copyTo = [&](std::uint64_t end) {
            if (end > at) composed->add(std::make_shared<SliceSource>(source, at, end - at, source->name()));
            at = std::max(at, end);
        };
        for (const std::size_t k : order) {
            const TensorInfo& info = file.tensors[k].info;
            const auto part = parts_.find(ownName(info.name));
            if (part == parts_.end() || ofOtherStream(info.name)) {
                if (isHidden(info.name))
                    refuse(placeOf(source->name(), info.name), "regauge does not know how this one moves along it");
                continue;
            }
            const auto& [roles, layer, axis, gains] = part->second;
            if (axis == noAxis) continue;
            UnitMap map = unitMap(hidden_.shape(), hidden_.layers()[layer], roles);
            if (gains) {
                if (info.shape == Shape{hidden_.shape().headDim}) continue;  // one norm for every head
                map = {map.unit, map.from, {}, {}, 1};
            }
            if (map.isIdentity()) continue;
            if (map.unit == 0 && gains)
                throw Error(ErrorCode::unsupported, placeOf(source->name(), info.name),
                            "may have gains for each head or for all; \"head_dim\" in the hidden part would tell");
            if (map.unit == 0 && axis < info.shape.size())  // by hand: the file does not say how wide a head is
                map.unit = static_cast<std::size_t>(info.shape[axis]) / map.from.size();
            copyTo(info.offset);
            composed->add(
                movedUnits(tensorBytes(file, k), info, axis, std::move(map), placeOf(source->name(), info.name)));
            at = info.offset + info.bytes;
        }
        copyTo(source->size());
        return composed;
    }

    Files& files_;
    const HiddenGauge& hidden_;
    std::string under_;
    std::vector<std::string> modules_;  // patterns
    Parts parts_;
};

}  // namespace

void requireMovable(const Plan& plan, const std::string& object) {
    const auto recipe = std::ranges::find_if(
        recipes(), [&](const Recipe& one) { return one.kind == plan.kind && (one.optimizer || one.namedByFolder); });
    if (recipe != recipes().end())
        throw Error(ErrorCode::unsupported, object,
                    "is " + recipe->title +
                        ", whose hidden axes (heads and MLP neurons) are not moved yet, and this gauge has a hidden "
                        "part; only a gauge without one moves it");
}

std::unique_ptr<Files> movedHidden(Files& files, const HiddenGauge& hidden, const std::string& object) {
    if (object.empty()) return std::make_unique<MovedHiddenFiles>(files, hidden, "");
    std::string under = files.isFolder(object) ? snapshotOf(files, object) : object;
    if (under.ends_with(".index.json")) under = folderOf(under);
    while (under.size() > 1 && under.ends_with('/')) under.pop_back();
    return std::make_unique<MovedHiddenFiles>(files, hidden, std::move(under));
}

}  // namespace regauge

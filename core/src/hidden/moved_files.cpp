// A folder's files with the hidden axes of their tensors moved: everything that reads files sees the moved model.
#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "hidden/model_shape.hpp"
#include "hidden/moved_axis.hpp"
#include "hidden/parts.hpp"
#include "io/bytes.hpp"
#include "io/composed_source.hpp"
#include "recipes/recipe_table.hpp"
#include "regauge/error.hpp"
#include "regauge/hidden.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {
namespace {

// Whether a path is of a file that moves.
using Concerned = std::function<bool(const std::string& path)>;

// The files of an object: those that lie in its folder, the shards that its index lists, or itself.
Concerned filesOf(const Files& files, const std::string& object) {
    if (files.isFolder(object)) {
        const std::string folder = withoutSlashes(snapshotOf(files, object));
        return [folder](const std::string& path) { return folderOf(path) == folder; };
    }
    if (!object.ends_with(".index.json")) return [object](const std::string& path) { return path == object; };
    const CheckpointFiles checkpoint = openCheckpointFiles(files, object);
    std::set<std::string> shards;
    for (const std::string& name : checkpoint.names) shards.insert(joinPath(checkpoint.folder, name));
    return [shards](const std::string& path) { return shards.contains(path); };
}

class MovedHiddenFiles final : public Files {
public:
    MovedHiddenFiles(Files& files, const HiddenGauge& hidden, Concerned concerned)
        : files_(files), parts_(hidden), concerned_(std::move(concerned)) {}

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
        if (!tensors || !concerned_(path)) return source;
        if (path.ends_with(".safetensors")) return moved(std::move(source));
        refuseHidden(path);
        return source;
    }

private:
    void refuseHidden(const std::string& path) const {
        std::optional<TensorFile> file;
        try {
            file = openTensorFile(std::shared_ptr<const ByteSource>(files_.open(path)));
        } catch (const Error&) {
            return;  // whoever wants to read it will say why it cannot be read
        }
        for (const StoredTensor& tensor : file->tensors)
            if (parts_.isHidden(tensor.info.name))
                refuseHiddenAxis(placeOf(path, tensor.info.name), "hidden axes move in .safetensors files, not in " +
                                                                      std::string(regauge::name(file->format)));
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
            const std::string where = placeOf(source->name(), info.name);
            const HiddenPart* part = parts_.find(info.name);
            if (!part && parts_.isHidden(info.name))
                refuseHiddenAxis(where, "regauge does not know how this one moves along it");
            std::optional<UnitMap> map = part ? parts_.mapOf(*part, info.shape, where) : std::nullopt;
            if (!map) continue;
            copyTo(info.offset);
            composed->add(movedUnits(tensorBytes(file, k), info, part->axis, std::move(*map), where));
            at = info.offset + info.bytes;
        }
        copyTo(source->size());
        return composed;
    }

    Files& files_;
    HiddenParts parts_;
    Concerned concerned_;
};

}  // namespace

std::unique_ptr<Files> movedHidden(Files& files, const HiddenGauge& hidden, const std::string& object) {
    requireShape(hidden, ObjectPath(files, object));
    return std::make_unique<MovedHiddenFiles>(files, hidden, filesOf(files, object));
}

}  // namespace regauge

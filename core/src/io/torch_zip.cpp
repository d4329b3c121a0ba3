#include "torch_zip.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "bytes.hpp"
#include "crc32.hpp"
#include "pickle.hpp"
#include "strided.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostPickleBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t mostStorageInMemory = std::uint64_t{1} << 30;

struct TorchDetail {
    ZipDirectory zip;
    std::vector<std::size_t> entryOf;  // per tensor: its storage's member
    std::vector<StridedView> views;    // per tensor
    bool hasCrcs = true;               // torch.serialization.set_crc32_options(False) writes members without true checksums
};

const TorchDetail& detailOf(const TensorFile& file) { return *static_cast<const TorchDetail*>(file.detail.get()); }

// "archive" of "archive/data.pkl".
const ZipEntry* pickleEntry(const ZipDirectory& zip) {
    const auto found = std::find_if(zip.entries.begin(), zip.entries.end(), [](const ZipEntry& entry) { return entry.name == "data.pkl" || entry.name.ends_with("/data.pkl"); });
    return found == zip.entries.end() ? nullptr : &*found;
}

std::string contentOf(const std::shared_ptr<const ByteSource>& source, const ZipEntry* entry) {
    if (entry == nullptr || entry->size > 64) return "";
    return std::string(asText(readBytes(*openMember(source, *entry, entry->size, source->name()), 0, entry->size)));
}

// Where a tensor of the pickle lies, checked against the member that holds its storage.
StridedView viewOf(const PickleTensor& tensor, const PickleStorage& storage, const ZipEntry& entry, const std::string& where) {
    const std::uint64_t storageItem = storage.dtype ? byteSize(*storage.dtype) : 1;
    if (!entry.stored()) throw Error(ErrorCode::unsupported, where, "its storage is compressed, which torch.save never does; load and save the file with torch again");
    if (storage.count > entry.size / storageItem || storage.count * storageItem != entry.size) {
        throw Error(ErrorCode::malformed, where,
                    "its storage should hold " + std::to_string(storage.count) + " elements of " + std::to_string(storageItem) + " bytes, but " + entry.name + " has " + std::to_string(entry.size) +
                        " bytes; the file is damaged, save it again");
    }
    StridedView view{tensor.offset, tensor.shape, tensor.strides, byteSize(tensor.dtype)};
    if (!byteCount(tensor.dtype, tensor.shape)) throw Error(ErrorCode::malformed, where, "its shape " + toString(tensor.shape) + " is impossibly large");
    const std::optional<std::uint64_t> end = view.end();
    if (!end || *end > entry.size / view.elementSize) {
        throw Error(ErrorCode::malformed, where,
                    "shape " + toString(tensor.shape) + " with strides " + toString(tensor.strides) + " from element " + std::to_string(tensor.offset) + " reaches beyond its storage of " +
                        std::to_string(entry.size / view.elementSize) + " elements");
    }
    return view;
}

// A view that repeats elements (torch.expand) may claim any size; nobody stores more elements than there are.
void checkExpansion(const StridedView& view, const ZipEntry& entry, const std::string& where) {
    if (view.count() > entry.size / view.elementSize) {
        throw Error(ErrorCode::unsupported, where, "the view " + toString(view.shape) + " repeats elements of its storage (torch.expand); save it with .clone()");
    }
}

[[noreturn]] void conflict(const TensorFile& file, std::size_t a, std::size_t b) {
    throw Error(ErrorCode::unsupported, placeOf(file.source->name(), file.tensors[b].info.name),
                "it shares memory with " + file.tensors[a].info.name + ", and the two would move in different ways; save copies, e.g. torch.save({k: v.clone() for k, v in d.items()}, path)");
}

// New bytes of one storage, streamed: its tensors are contiguous, and any two either lie apart or are the same view.
void streamStorage(const TensorFile& file, const ZipEntry& entry, const std::vector<std::size_t>& tensors, const MoveTensor& move, ByteSink& out) {
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < tensors.size();) {
        const std::size_t first = tensors[i];
        const TensorInfo& info = file.tensors[first].info;
        const std::uint64_t begin = info.offset - entry.dataOffset;
        copyBytes(*file.source, entry.dataOffset + at, begin - at, out);
        CrcSink sum(&out);
        ExactSink exact(sum, info.bytes, placeOf(file.source->name(), info.name));
        move(first, *tensorBytes(file, first), exact);
        exact.finish();
        at = begin + info.bytes;
        // Tied weights: the other names of the same bytes must come out the same.
        for (++i; i < tensors.size() && file.tensors[tensors[i]].info.offset == info.offset; ++i) {
            CrcSink other(nullptr);
            move(tensors[i], *tensorBytes(file, tensors[i]), other);
            if (other.crc() != sum.crc() || other.count() != sum.count()) conflict(file, first, tensors[i]);
        }
    }
    copyBytes(*file.source, entry.dataOffset + at, entry.size - at, out);
}

// New bytes of one storage whose views cross: each tensor's new elements are put where its old ones lay, and elements that belong to several tensors
// must come out the same from each.
std::vector<std::byte> scatterStorage(const TensorFile& file, const ZipEntry& entry, const std::vector<std::size_t>& tensors, const MoveTensor& move) {
    if (entry.size > mostStorageInMemory) {
        throw Error(ErrorCode::tooLarge, placeOf(file.source->name(), file.tensors[tensors.front()].info.name), "strided views over a storage of " + std::to_string(entry.size) + " bytes; save copies with .clone()");
    }
    std::vector<std::byte> bytes = readBytes(*file.source, entry.dataOffset, entry.size);
    std::vector<std::uint32_t> writer(bytes.size(), 0);  // 1 + the tensor that wrote a byte
    for (const std::size_t index : tensors) {
        const StridedView& view = detailOf(file).views[index];
        MemorySink moved;
        ExactSink exact(moved, file.tensors[index].info.bytes, placeOf(file.source->name(), file.tensors[index].info.name));
        move(index, *tensorBytes(file, index), exact);
        exact.finish();
        const std::byte* from = moved.bytes().data();
        forEachElement(view, 0, view.count(), [&](std::uint64_t element) {
            for (std::size_t k = 0; k < view.elementSize; ++k, ++from) {
                const std::size_t to = static_cast<std::size_t>(element) * view.elementSize + k;
                if (writer[to] != 0 && bytes[to] != *from) conflict(file, writer[to] - 1, index);
                writer[to] = static_cast<std::uint32_t>(index + 1);
                bytes[to] = *from;
            }
        });
    }
    return bytes;
}

bool canStream(const TensorFile& file, const std::vector<std::size_t>& tensors) {
    const TorchDetail& detail = detailOf(file);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (!detail.views[tensors[i]].isContiguous()) return false;
        if (i == 0) continue;
        const TensorInfo& before = file.tensors[tensors[i - 1]].info;
        const TensorInfo& info = file.tensors[tensors[i]].info;
        if (info.offset < before.offset + before.bytes && (info.offset != before.offset || info.bytes != before.bytes)) return false;
    }
    return true;
}

}  // namespace

bool looksLikeTorch(const ZipDirectory& zip) {
    return pickleEntry(zip) != nullptr || std::any_of(zip.entries.begin(), zip.entries.end(), [](const ZipEntry& entry) { return entry.name.ends_with("/constants.pkl"); });
}

TensorFile openTorchZip(std::shared_ptr<const ByteSource> source, ZipDirectory zip) {
    const std::string& fileName = source->name();
    const ZipEntry* pickle = pickleEntry(zip);
    const std::string stem = pickle == nullptr ? "" : pickle->name.substr(0, pickle->name.size() - std::string_view("data.pkl").size());
    const bool script = std::any_of(zip.entries.begin(), zip.entries.end(), [&](const ZipEntry& entry) { return entry.name.ends_with("constants.pkl") || entry.name.starts_with(stem + "code/"); });
    if (script || pickle == nullptr) throw Error(ErrorCode::unsupported, fileName, "a TorchScript archive holds code; save the weights alone: torch.save(model.state_dict(), path)");
    if (pickle->size > mostPickleBytes) throw Error(ErrorCode::tooLarge, fileName, "a pickle of " + std::to_string(pickle->size) + " bytes; the tensors should be outside it");

    const std::vector<std::byte> pickleBytes = readBytes(*openMember(source, *pickle, pickle->size, fileName), 0, pickle->size);
    const PickleContents contents = readPickle(pickleBytes, fileName);
    if (contents.tensors.empty()) throw Error(ErrorCode::unsupported, fileName, "no tensors in it; expected a tensor, or a dict or list of tensors");
    std::unordered_map<std::string_view, std::size_t> members;
    for (std::size_t i = 0; i < zip.entries.size(); ++i) members.emplace(zip.entries[i].name, i);
    const bool bigEndian = contentOf(source, zip.find(stem + "byteorder")) == "big";

    TensorFile file;
    file.format = FileFormat::torchZip;
    file.metadata = contents.values;
    auto detail = std::make_shared<TorchDetail>();
    for (const PickleTensor& tensor : contents.tensors) {
        const std::string where = placeOf(fileName, tensor.name);
        const PickleStorage& storage = contents.storages[tensor.storage];
        const auto member = members.find(stem + "data/" + storage.key);
        if (member == members.end()) throw Error(ErrorCode::malformed, where, "its storage data/" + storage.key + " is not in the archive; the file is damaged, save it again");
        const ZipEntry& entry = zip.entries[member->second];
        StridedView view = viewOf(tensor, storage, entry, where);
        checkExpansion(view, entry, where);
        StoredTensor stored;
        stored.info = {tensor.name, tensor.dtype, tensor.shape, entry.dataOffset + tensor.offset * view.elementSize, view.count() * view.elementSize};
        stored.bigEndian = bigEndian && view.elementSize > 1;
        file.tensors.push_back(std::move(stored));
        detail->entryOf.push_back(member->second);
        detail->views.push_back(std::move(view));
    }
    Crc32 crc;
    crc.update(pickleBytes);
    detail->hasCrcs = crc.value() == pickle->crc;
    detail->zip = std::move(zip);
    file.detail = std::move(detail);
    file.source = std::move(source);
    return file;
}

std::unique_ptr<ByteSource> torchTensorBytes(const TensorFile& file, std::size_t index) {
    const TorchDetail& detail = detailOf(file);
    const TensorInfo& info = file.tensors[index].info;
    const std::string where = placeOf(file.source->name(), info.name);
    if (info.bytes == 0) return std::make_unique<OwnedSource>(where, std::vector<std::byte>());
    if (detail.views[index].isContiguous()) return std::make_unique<SliceSource>(file.source, info.offset, info.bytes, where);
    const ZipEntry& entry = detail.zip.entries[detail.entryOf[index]];
    return stridedSource(SliceSource(file.source, entry.dataOffset, entry.size, where), detail.views[index], where);
}

void rewriteTorchZip(const TensorFile& file, const MoveTensor& move, ByteSink& out) {
    const TorchDetail& detail = detailOf(file);
    std::map<std::size_t, std::vector<std::size_t>> tensorsOf;  // storage -> tensors, in the order of their bytes
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        if (file.tensors[i].info.bytes > 0) tensorsOf[detail.entryOf[i]].push_back(i);
    }
    std::vector<ZipPatch> patches;
    for (auto& [index, tensors] : tensorsOf) {
        std::stable_sort(tensors.begin(), tensors.end(), [&](std::size_t a, std::size_t b) { return file.tensors[a].info.offset < file.tensors[b].info.offset; });
        const auto write = [&file, &detail, &move, entryIndex = index, &list = tensors](ByteSink& sink) {
            const ZipEntry& entry = detail.zip.entries[entryIndex];
            if (canStream(file, list)) return streamStorage(file, entry, list, move, sink);
            sink.write(scatterStorage(file, entry, list, move));
        };
        patches.push_back({index, write});
    }
    rewriteZip(*file.source, detail.zip, patches, detail.hasCrcs, out);
}

}  // namespace regauge

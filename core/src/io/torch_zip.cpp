#include "io/torch_zip.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "codec/crc32.hpp"
#include "io/bytes.hpp"
#include "io/pickle.hpp"
#include "io/strided.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostPickleBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t mostStorageInMemory = std::uint64_t{1} << 30;
constexpr std::uint64_t mostExpanded = std::uint64_t{16} << 20;  // bytes of a view that repeats its storage's elements

struct TorchDetail {
    ZipDirectory zip;
    std::vector<std::size_t> entryOf;  // per tensor: its storage's member
    std::vector<StridedView> views;    // per tensor
    std::vector<PickleTensor> places;  // per tensor: what the pickle says of it
    std::vector<PickleStorage> storages;
    std::string stem;     // "archive/"
    bool hasCrcs = true;  // torch.serialization.set_crc32_options(False) writes members without true checksums
};

const TorchDetail& detailOf(const TensorFile& file) { return *static_cast<const TorchDetail*>(file.detail.get()); }

// "archive" of "archive/data.pkl".
const ZipEntry* pickleEntry(const ZipDirectory& zip) {
    const auto found = std::find_if(zip.entries.begin(), zip.entries.end(), [](const ZipEntry& entry) {
        return entry.name == "data.pkl" || entry.name.ends_with("/data.pkl");
    });
    return found == zip.entries.end() ? nullptr : &*found;
}

std::string contentOf(const std::shared_ptr<const ByteSource>& source, const ZipEntry* entry) {
    if (entry == nullptr || entry->size > 64) return "";
    return std::string(asText(readBytes(*openMember(source, *entry, entry->size, source->name()), 0, entry->size)));
}

// Where a tensor of the pickle lies, checked against the member that holds its storage.
StridedView viewOf(const PickleTensor& tensor, const PickleStorage& storage, const ZipEntry& entry,
                   const std::string& where) {
    const std::uint64_t storageItem = storage.dtype ? byteSize(*storage.dtype) : 1;
    if (!entry.stored())
        throw Error(ErrorCode::unsupported, where,
                    "its storage is compressed, which torch.save never does; load and save the file with torch again");
    if (storage.count > entry.size / storageItem || storage.count * storageItem != entry.size) {
        throw Error(ErrorCode::malformed, where,
                    "its storage should hold " + std::to_string(storage.count) + " elements of " +
                        std::to_string(storageItem) + " bytes, but " + entry.name + " has " +
                        std::to_string(entry.size) + " bytes; the file is damaged, save it again");
    }
    StridedView view{tensor.offset, tensor.shape, tensor.strides, byteSize(tensor.dtype)};
    if (!byteCount(tensor.dtype, tensor.shape))
        throw Error(ErrorCode::malformed, where, "its shape " + toString(tensor.shape) + " is impossibly large");
    const std::optional<std::uint64_t> end = view.end();
    if (!end || *end > entry.size / view.elementSize) {
        throw Error(ErrorCode::malformed, where,
                    "shape " + toString(tensor.shape) + " with strides " + toString(tensor.strides) + " from element " +
                        std::to_string(tensor.offset) + " reaches beyond its storage of " +
                        std::to_string(entry.size / view.elementSize) + " elements");
    }
    return view;
}

// A view that repeats elements (torch.expand) may claim any size.
void checkExpansion(const StridedView& view, const ZipEntry& entry, const std::string& where) {
    if (view.count() > entry.size / view.elementSize && view.count() > mostExpanded / view.elementSize) {
        throw Error(ErrorCode::unsupported, where,
                    "the view " + toString(view.shape) +
                        " repeats elements of its storage (torch.expand); save it with .clone()");
    }
}

// Tensors that cannot stay in their storage, as another one's bytes there would come out different: which other one.
using Leaving = std::map<std::size_t, std::size_t>;

[[noreturn]] void conflict(const TensorFile& file, const Leaving::value_type& pair) {
    const auto& [leaving, other] = pair;
    throw Error(
        ErrorCode::unsupported, placeOf(file.source->name(), file.tensors[leaving].info.name),
        (leaving == other ? "it repeats elements of its storage (torch.expand), which would move in different ways"
                          : "it shares memory with " + file.tensors[other].info.name +
                                ", and the two would move in different ways") +
            "; save copies, e.g. torch.save({k: v.clone() for k, v in d.items()}, path)");
}

void moveInto(const TensorFile& file, std::size_t index, const MoveTensor& move, ByteSink& out) {
    const TensorInfo& info = file.tensors[index].info;
    ExactSink exact(out, info.bytes, placeOf(file.source->name(), info.name));
    move(index, *tensorBytes(file, index), exact);
    exact.finish();
}

// New bytes of one storage, streamed: its tensors are contiguous, and any two either lie apart or are the same view
// (tied weights).
void streamStorage(const TensorFile& file, const ZipEntry& entry, const std::vector<std::size_t>& tensors,
                   const MoveTensor& move, ByteSink& out) {
    std::uint64_t at = 0;
    for (const std::size_t index : tensors) {
        const TensorInfo& info = file.tensors[index].info;
        const std::uint64_t begin = info.offset - entry.dataOffset;
        if (begin < at) continue;  // another name of the one before
        copyBytes(*file.source, entry.dataOffset + at, begin - at, out);
        moveInto(file, index, move, out);
        at = begin + info.bytes;
    }
    copyBytes(*file.source, entry.dataOffset + at, entry.size - at, out);
}

// The names of tied weights whose bytes do not come out as those of the first name.
void findDifferentTies(const TensorFile& file, const std::vector<std::size_t>& tensors, const MoveTensor& move,
                       Leaving& leaving) {
    const auto sumOf = [&](std::size_t index) {
        CrcSink sum(nullptr);
        move(index, *tensorBytes(file, index), sum);
        return sum.crc();
    };
    for (std::size_t i = 0; i < tensors.size();) {
        const std::size_t first = i;
        std::optional<std::uint32_t> sum;
        for (++i;
             i < tensors.size() && file.tensors[tensors[i]].info.offset == file.tensors[tensors[first]].info.offset;
             ++i) {
            if (!sum) sum = sumOf(tensors[first]);
            if (sumOf(tensors[i]) != *sum) leaving.emplace(tensors[i], tensors[first]);
        }
    }
}

// New bytes of one storage whose views cross: each tensor's new elements are put where its old ones lay. A tensor that
// would put other bytes where one has put its own already, or it itself, leaves. (What such a one has put is then of no
// use; the storage is made again without it.)
std::vector<std::byte> scatterStorage(const TensorFile& file, const ZipEntry& entry,
                                      const std::vector<std::size_t>& tensors, const MoveTensor& move,
                                      Leaving& leaving) {
    if (entry.size > mostStorageInMemory) {
        throw Error(
            ErrorCode::tooLarge, placeOf(file.source->name(), file.tensors[tensors.front()].info.name),
            "strided views over a storage of " + std::to_string(entry.size) + " bytes; save copies with .clone()");
    }
    std::vector<std::byte> bytes = readBytes(*file.source, entry.dataOffset, entry.size);
    std::vector<std::uint32_t> writer(bytes.size(), 0);  // 1 + the tensor that wrote a byte
    for (const std::size_t index : tensors) {
        if (leaving.contains(index)) continue;
        const StridedView& view = detailOf(file).views[index];
        MemorySink moved;
        moveInto(file, index, move, moved);
        const auto forEachByte = [&](auto visit) {
            const std::byte* from = moved.bytes().data();
            forEachElement(view, 0, view.count(), [&](std::uint64_t element) {
                for (std::size_t k = 0; k < view.elementSize; ++k)
                    visit(static_cast<std::size_t>(element) * view.elementSize + k, *from++);
            });
        };
        std::optional<std::size_t> other;
        forEachByte([&](std::size_t to, std::byte byte) {
            if (writer[to] != 0 && bytes[to] != byte) other = writer[to] - 1;
        });
        if (!other)
            forEachByte([&](std::size_t to, std::byte byte) {
                if (writer[to] == index + 1 && bytes[to] != byte) other = index;  // it repeats elements of its storage
                writer[to] = static_cast<std::uint32_t>(index + 1);
                bytes[to] = byte;
            });
        if (other) leaving.emplace(index, *other);
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
        if (info.offset < before.offset + before.bytes && (info.offset != before.offset || info.bytes != before.bytes))
            return false;
    }
    return true;
}

using TensorsOf =
    std::map<std::size_t, std::vector<std::size_t>>;  // storage's entry -> tensors, in the order of their bytes

Leaving leavingTensors(const TensorFile& file, const TensorsOf& tensorsOf, const MoveTensor& move) {
    Leaving leaving;
    for (const auto& [index, tensors] : tensorsOf) {
        const ZipEntry& entry = detailOf(file).zip.entries[index];
        if (canStream(file, tensors))
            findDifferentTies(file, tensors, move, leaving);
        else
            scatterStorage(file, entry, tensors, move, leaving);
    }
    return leaving;
}

void writeStorage(const TensorFile& file, std::size_t index, const std::vector<std::size_t>& tensors,
                  const MoveTensor& move, ByteSink& out) {
    const ZipEntry& entry = detailOf(file).zip.entries[index];
    if (canStream(file, tensors)) return streamStorage(file, entry, tensors, move, out);
    Leaving none;
    out.write(scatterStorage(file, entry, tensors, move, none));
}

// The pickle with a storage of its own for each leaving tensor, called by keys[tensor].
std::string pickleApart(const TensorFile& file, std::string_view pickle,
                        const std::map<std::size_t, std::string>& keys) {
    const TorchDetail& detail = detailOf(file);
    const auto little = [](std::uint64_t value, std::size_t size) {
        std::string bytes(size, '\0');
        for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
        return bytes;
    };
    const auto text = [&](const std::string& value) { return "X" + little(value.size(), 4) + value; };
    const auto integer = [&](std::uint64_t value) {
        return value < (1U << 31) ? "J" + little(value, 4) : "\x8a\x08" + little(value, 8);
    };
    const auto tuple = [&](const std::vector<std::uint64_t>& values) {
        std::string bytes = "(";
        for (const std::uint64_t value : values) bytes += integer(value);
        return bytes + "t";
    };
    std::map<std::size_t, std::size_t> byPlace;  // placeBegin -> tensor
    for (const auto& [tensor, key] : keys) byPlace.emplace(detail.places[tensor].placeBegin, tensor);
    std::string apart;
    std::size_t at = 0;
    for (const auto& [begin, index] : byPlace) {
        const PickleTensor& tensor = detail.places[index];
        const PickleStorage& storage = detail.storages[tensor.storage];
        const std::size_t dot = storage.type.rfind('.');
        std::vector<std::uint64_t> strides(tensor.shape.size(), 1);
        for (std::size_t k = strides.size(); k-- > 1;) strides[k - 1] = strides[k] * tensor.shape[k];
        const std::uint64_t bytes = file.tensors[index].info.bytes,
                            count = storage.dtype ? bytes / byteSize(tensor.dtype) : bytes;
        std::string place = "(" + text("storage") + "c" + storage.type.substr(0, dot) + "\n" +
                            storage.type.substr(dot + 1) + "\n" + text(keys.at(index)) + text(storage.location) +
                            integer(count) + "tQ" + integer(0) + tuple(tensor.shape) + tuple(strides);
        if (tensor.reference)
            place = "ctorch._utils\n_rebuild_tensor_v2\n(" + place + "\x89" + "ccollections\nOrderedDict\n)RtR";
        apart += std::string(pickle.substr(at, begin - at)) + place;
        at = tensor.placeEnd;
    }
    return apart + std::string(pickle.substr(at));
}

// Whether the new pickle says of every tensor what the old one says, but for the storages of those that leave.
bool saysTheSame(const TensorFile& file, const PickleContents& contents,
                 const std::map<std::size_t, std::string>& keys) {
    const TorchDetail& detail = detailOf(file);
    if (contents.tensors.size() != detail.places.size()) return false;
    for (std::size_t i = 0; i < contents.tensors.size(); ++i) {
        const PickleTensor &now = contents.tensors[i], &before = detail.places[i];
        const auto own = keys.find(i);
        const bool stays = own == keys.end();
        if (now.name != before.name || now.dtype != before.dtype || now.shape != before.shape) return false;
        if (contents.storages[now.storage].key != (stays ? detail.storages[before.storage].key : own->second))
            return false;
        if (stays ? now.offset != before.offset || now.strides != before.strides : now.offset != 0) return false;
    }
    return contents.values == file.metadata;
}

// The archive written anew where some tensors can no longer share a storage: they get one of their own, and everything
// else stays as it was.
void rewriteApart(const TensorFile& file, const TensorsOf& tensorsOf, const Leaving& leaving, const MoveTensor& move,
                  ByteSink& out) {
    const TorchDetail& detail = detailOf(file);
    const std::string& where = file.source->name();
    std::map<std::size_t, std::string> keys;
    std::size_t number = detail.storages.size();
    for (const auto& pair : leaving) {
        const PickleTensor& tensor = detail.places[pair.first];
        if (tensor.placeBegin >= tensor.placeEnd || (tensor.reference && !detail.storages[tensor.storage].dtype))
            conflict(file, pair);
        while (detail.zip.find(detail.stem + "data/" + std::to_string(number)) != nullptr) ++number;
        keys.emplace(pair.first, std::to_string(number++));
    }
    const ZipEntry& pickleMember = *pickleEntry(detail.zip);
    const std::vector<std::byte> old =
        readBytes(*openMember(file.source, pickleMember, pickleMember.size, where), 0, pickleMember.size);
    const std::string pickle = pickleApart(file, asText(old), keys);
    try {
        if (!saysTheSame(file, readPickle(asBytes(pickle), where), keys)) conflict(file, *leaving.begin());
    } catch (const Error&) {
        conflict(file, *leaving.begin());  // something that left was referred to from elsewhere
    }
    std::vector<NewMember> members;
    for (const std::size_t index : detail.zip.inFile) {
        const ZipEntry& entry = detail.zip.entries[index];
        const auto tensors = tensorsOf.find(index);
        if (&entry == &pickleMember)
            members.push_back({entry.name, pickle.size(), [&pickle](ByteSink& sink) { sink.write(asBytes(pickle)); }});
        else if (tensors != tensorsOf.end())
            members.push_back(
                {entry.name, entry.size, [&file, &move, index, stay = tensors->second, &leaving](ByteSink& sink) {
                     std::vector<std::size_t> list = stay;
                     std::erase_if(list, [&](std::size_t tensor) { return leaving.contains(tensor); });
                     writeStorage(file, index, list, move, sink);
                 }});
        else
            members.push_back({entry.name, entry.size, [&file, &entry, &where](ByteSink& sink) {
                                   const auto bytes = openMember(file.source, entry, entry.size, where);
                                   copyBytes(*bytes, 0, bytes->size(), sink);
                               }});
    }
    for (const auto& [tensor, key] : keys)
        members.push_back({detail.stem + "data/" + key, file.tensors[tensor].info.bytes,
                           [&file, &move, index = tensor](ByteSink& sink) { moveInto(file, index, move, sink); }});
    writeZip(members, where, out);
}

}  // namespace

bool looksLikeTorch(const ZipDirectory& zip) {
    return pickleEntry(zip) != nullptr ||
           std::any_of(zip.entries.begin(), zip.entries.end(),
                       [](const ZipEntry& entry) { return entry.name.ends_with("/constants.pkl"); });
}

TensorFile openTorchZip(std::shared_ptr<const ByteSource> source, ZipDirectory zip) {
    const std::string& fileName = source->name();
    const ZipEntry* pickle = pickleEntry(zip);
    const std::string stem =
        pickle == nullptr ? "" : pickle->name.substr(0, pickle->name.size() - std::string_view("data.pkl").size());
    const bool script = std::any_of(zip.entries.begin(), zip.entries.end(), [&](const ZipEntry& entry) {
        return entry.name.ends_with("constants.pkl") || entry.name.starts_with(stem + "code/");
    });
    if (script || pickle == nullptr)
        throw Error(ErrorCode::unsupported, fileName,
                    "a TorchScript archive holds code; save the weights alone: torch.save(model.state_dict(), path)");
    if (pickle->size > mostPickleBytes)
        throw Error(ErrorCode::tooLarge, fileName,
                    "a pickle of " + std::to_string(pickle->size) + " bytes; the tensors should be outside it");

    const std::vector<std::byte> pickleBytes =
        readBytes(*openMember(source, *pickle, pickle->size, fileName), 0, pickle->size);
    const PickleContents contents = readPickle(pickleBytes, fileName);
    if (contents.tensors.empty())
        throw Error(ErrorCode::unsupported, fileName,
                    "no tensors in it; expected a tensor, or a dict or list of tensors (NumPy arrays in it are not "
                    "read: save torch.from_numpy of them)");
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
        if (member == members.end())
            throw Error(
                ErrorCode::malformed, where,
                "its storage data/" + storage.key + " is not in the archive; the file is damaged, save it again");
        const ZipEntry& entry = zip.entries[member->second];
        StridedView view = viewOf(tensor, storage, entry, where);
        checkExpansion(view, entry, where);
        StoredTensor stored;
        stored.info = {tensor.name, tensor.dtype, tensor.shape, entry.dataOffset + tensor.offset * view.elementSize,
                       view.count() * view.elementSize};
        stored.bigEndian = bigEndian && view.elementSize > 1;
        file.tensors.push_back(std::move(stored));
        detail->entryOf.push_back(member->second);
        detail->views.push_back(std::move(view));
        detail->places.push_back(tensor);
    }
    detail->storages = contents.storages;
    detail->stem = stem;
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
    if (detail.views[index].isContiguous())
        return std::make_unique<SliceSource>(file.source, info.offset, info.bytes, where);
    const ZipEntry& entry = detail.zip.entries[detail.entryOf[index]];
    return stridedSource(SliceSource(file.source, entry.dataOffset, entry.size, where), detail.views[index], where);
}

void rewriteTorchZip(const TensorFile& file, const MoveTensor& move, ByteSink& out) {
    const TorchDetail& detail = detailOf(file);
    TensorsOf tensorsOf;
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        if (file.tensors[i].info.bytes > 0) tensorsOf[detail.entryOf[i]].push_back(i);
    }
    for (auto& [index, tensors] : tensorsOf)
        std::stable_sort(tensors.begin(), tensors.end(), [&](std::size_t a, std::size_t b) {
            return file.tensors[a].info.offset < file.tensors[b].info.offset;
        });
    const Leaving leaving = leavingTensors(file, tensorsOf, move);
    if (!leaving.empty()) return rewriteApart(file, tensorsOf, leaving, move, out);
    std::vector<ZipPatch> patches;
    for (const auto& entry : tensorsOf)
        patches.push_back({entry.first, [&file, &move, index = entry.first, &list = entry.second](ByteSink& sink) {
                               writeStorage(file, index, list, move, sink);
                           }});
    rewriteZip(*file.source, detail.zip, patches, detail.hasCrcs, out);
}

}  // namespace regauge

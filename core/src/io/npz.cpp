#include "io/npz.hpp"

#include <algorithm>

#include "codec/crc32.hpp"
#include "io/bytes.hpp"
#include "io/foreign.hpp"
#include "io/npy.hpp"

namespace regauge {
namespace {

struct NpzDetail {
    ZipDirectory zip;
    std::vector<std::size_t> entryOf;       // per tensor
    std::vector<std::uint64_t> headerSize;  // per tensor: of its .npy header
};

// Up to here a stored member's checksum is verified before it is used; beyond, reading everything twice would cost more
// than it tells.
constexpr std::uint64_t mostVerified = std::uint64_t{64} << 20;

const NpzDetail& detailOf(const TensorFile& file) { return *static_cast<const NpzDetail*>(file.detail.get()); }

// A whole member, whose checksum is true.
std::unique_ptr<ByteSource> verifiedMember(const TensorFile& file, const ZipEntry& entry, const std::string& where) {
    std::unique_ptr<ByteSource> member = openMember(file.source, entry, entry.size, where);
    if (entry.stored() && entry.size <= mostVerified) {
        CrcSink sum(nullptr);
        copyBytes(*member, 0, entry.size, sum);
        if (sum.crc() != entry.crc)
            throw Error(ErrorCode::malformed, where,
                        "its checksum does not match: the file is damaged, copy or download it again");
    }
    return member;
}

}  // namespace

TensorFile openNpz(std::shared_ptr<const ByteSource> source, ZipDirectory zip) {
    auto detail = std::make_shared<NpzDetail>();
    TensorFile file;
    file.format = FileFormat::npz;
    for (std::size_t i = 0; i < zip.entries.size(); ++i) {
        const ZipEntry& entry = zip.entries[i];
        if (!entry.name.ends_with(".npy")) continue;
        const std::string name = entry.name.substr(0, entry.name.size() - 4);
        const std::string where = placeOf(source->name(), name);
        const std::uint64_t wanted = std::min(entry.size, mostNpyHeaderBytes);
        const std::vector<std::byte> header = readBytes(*openMember(source, entry, wanted, where), 0, wanted);
        if (holdsNoNumbers(header, where)) {
            file.metadata.emplace_back(name, foreignArray);
            continue;
        }
        StoredTensor tensor = parseNpyHeader(header, entry.size, where);
        tensor.info.name = name;
        detail->entryOf.push_back(i);
        detail->headerSize.push_back(tensor.info.offset);
        if (entry.stored()) tensor.info.offset += entry.dataOffset;
        file.tensors.push_back(std::move(tensor));
    }
    if (file.tensors.empty() && !file.metadata.empty())
        throw Error(ErrorCode::unsupported, placeOf(source->name(), file.metadata.front().first),
                    "is " + file.metadata.front().second +
                        ", and there is no other; save the numbers, e.g. "
                        "np.savez(path, rows=np.stack(list))");
    if (file.tensors.empty())
        throw Error(ErrorCode::unsupported, source->name(),
                    "a zip archive with neither .npy members (.npz) nor a data.pkl (.pt)");
    detail->zip = std::move(zip);
    file.detail = std::move(detail);
    file.source = std::move(source);
    return file;
}

std::unique_ptr<ByteSource> npzTensorBytes(const TensorFile& file, std::size_t index) {
    const NpzDetail& detail = detailOf(file);
    const ZipEntry& entry = detail.zip.entries[detail.entryOf[index]];
    const TensorInfo& info = file.tensors[index].info;
    const std::string where = placeOf(file.source->name(), info.name);
    return std::make_unique<SliceSource>(verifiedMember(file, entry, where), detail.headerSize[index], info.bytes,
                                         where);
}

void rewriteNpz(const TensorFile& file, const MoveTensor& move, ByteSink& out) {
    const NpzDetail& detail = detailOf(file);
    std::vector<ZipPatch> patches;
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        const auto write = [&file, &detail, &move, i](ByteSink& sink) {
            const ZipEntry& entry = detail.zip.entries[detail.entryOf[i]];
            const std::string where = placeOf(file.source->name(), file.tensors[i].info.name);
            copyBytes(*openMember(file.source, entry, detail.headerSize[i], where), 0, detail.headerSize[i], sink);
            ExactSink exact(sink, file.tensors[i].info.bytes, where);
            move(i, *npzTensorBytes(file, i), exact);
            exact.finish();
        };
        patches.push_back({detail.entryOf[i], write});
    }
    rewriteZip(*file.source, detail.zip, patches, true, out);
}

std::vector<NewMember> otherNpzMembers(const TensorFile& file) {
    const NpzDetail& detail = detailOf(file);
    std::vector<bool> isTensor(detail.zip.entries.size());
    for (const std::size_t entry : detail.entryOf) isTensor[entry] = true;
    std::vector<NewMember> members;
    for (std::size_t i = 0; i < detail.zip.entries.size(); ++i) {
        if (isTensor[i]) continue;
        const ZipEntry& entry = detail.zip.entries[i];
        members.push_back({entry.name, entry.size, [&file, &entry](ByteSink& out) {
                               const std::string where = placeOf(file.source->name(), entry.name);
                               copyBytes(*verifiedMember(file, entry, where), 0, entry.size, out);
                           }});
    }
    return members;
}

}  // namespace regauge

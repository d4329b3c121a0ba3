#include "io/zip.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "codec/crc32.hpp"
#include "codec/deflate.hpp"
#include "io/bytes.hpp"

namespace regauge {
namespace {

constexpr std::uint32_t localMark = 0x04034b50;
constexpr std::uint32_t centralMark = 0x02014b50;
constexpr std::uint32_t endMark = 0x06054b50;
constexpr std::uint32_t end64Mark = 0x06064b50;
constexpr std::uint32_t locator64Mark = 0x07064b50;
constexpr std::uint64_t mostDirectoryBytes = std::uint64_t{256} << 20;

[[noreturn]] void malformed(const ByteSource& source, const std::string& sentence) {
    throw Error(ErrorCode::malformed, source.name(), "the zip archive " + sentence);
}

struct End {
    std::uint64_t entries = 0;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;
    std::uint64_t position = 0;  // of the record itself
};

// The end record lies at the file's end, before a comment of at most 65535 bytes.
End findEnd(const ByteSource& source) {
    const std::uint64_t fileSize = source.size();
    const std::uint64_t tailSize = std::min<std::uint64_t>(fileSize, 65535 + 22 + 20);
    const std::uint64_t tailOffset = fileSize - tailSize;
    const std::vector<std::byte> tail = readBytes(source, tailOffset, tailSize);
    for (std::size_t at = tail.size() >= 22 ? tail.size() - 22 + 1 : 0; at-- > 0;) {
        const std::byte* record = tail.data() + at;
        if (loadLittle<std::uint32_t>(record) != endMark ||
            loadLittle<std::uint16_t>(record + 20) != tail.size() - at - 22)
            continue;
        End end{loadLittle<std::uint16_t>(record + 10), loadLittle<std::uint32_t>(record + 12),
                loadLittle<std::uint32_t>(record + 16), tailOffset + at};
        std::uint64_t limit = tailOffset + at;
        if (at >= 20 && loadLittle<std::uint32_t>(record - 20) == locator64Mark) {
            const std::uint64_t offset64 = loadLittle<std::uint64_t>(record - 12);
            if (limit < 20 + 56 || offset64 > limit - 20 - 56)
                malformed(source, "has a zip64 end record outside the file");
            const std::vector<std::byte> end64 = readBytes(source, offset64, 56);
            if (loadLittle<std::uint32_t>(end64.data()) != end64Mark)
                malformed(source, "has a damaged zip64 end record");
            end = {loadLittle<std::uint64_t>(end64.data() + 32), loadLittle<std::uint64_t>(end64.data() + 40),
                   loadLittle<std::uint64_t>(end64.data() + 48), tailOffset + at};
            limit = offset64;
        }
        if (end.offset > limit || end.size != limit - end.offset)
            malformed(source, "has a directory that does not end where its end record says; it is damaged");
        return end;
    }
    throw Error(ErrorCode::truncated, source.name(),
                "the zip archive has no directory at its end: it is cut short; copy or download it again");
}

// Sizes and offsets that do not fit 32 bits are in the extra field with tag 1, in a fixed order.
void readZip64Extra(const ByteSource& source, std::span<const std::byte> extra, ZipEntry& entry) {
    const auto wide = [](std::uint64_t value) { return value == 0xFFFFFFFFU; };
    if (!wide(entry.size) && !wide(entry.compressed) && !wide(entry.localOffset)) return;
    while (extra.size() >= 4) {
        const std::uint16_t tag = loadLittle<std::uint16_t>(extra.data());
        const std::size_t length = loadLittle<std::uint16_t>(extra.data() + 2);
        if (length > extra.size() - 4) break;
        std::span<const std::byte> body = extra.subspan(4, length);
        extra = extra.subspan(4 + length);
        if (tag != 1) continue;
        for (std::uint64_t* field : {&entry.size, &entry.compressed, &entry.localOffset}) {
            if (!wide(*field)) continue;
            if (body.size() < 8) malformed(source, "lacks the 64-bit size of " + entry.name);
            *field = loadLittle<std::uint64_t>(body.data());
            body = body.subspan(8);
        }
        return;
    }
    malformed(source, "lacks the 64-bit size of " + entry.name);
}

// The local header repeats name and method; what it says must agree, or two readers would see two different files.
void readLocalHeader(const ByteSource& source, ZipEntry& entry, std::uint64_t centralOffset) {
    if (entry.localOffset > centralOffset || centralOffset - entry.localOffset < 30 + entry.name.size())
        malformed(source, "places " + entry.name + " outside the file");
    const std::vector<std::byte> header = readBytes(source, entry.localOffset, 30 + entry.name.size());
    const std::size_t nameSize = loadLittle<std::uint16_t>(header.data() + 26);
    if (loadLittle<std::uint32_t>(header.data()) != localMark || nameSize != entry.name.size() ||
        asText(header).substr(30) != entry.name || loadLittle<std::uint16_t>(header.data() + 8) != entry.method) {
        malformed(source, "is damaged: the header of " + entry.name + " is not where the directory says");
    }
    entry.dataOffset = entry.localOffset + 30 + nameSize + loadLittle<std::uint16_t>(header.data() + 28);
    if (entry.dataOffset > centralOffset || entry.compressed > centralOffset - entry.dataOffset)
        malformed(source, "says that " + entry.name + " reaches beyond its directory");
}

void checkEntry(const ByteSource& source, const ZipEntry& entry) {
    const std::string where = placeOf(source.name(), entry.name);
    if ((entry.flags & 1U) != 0) throw Error(ErrorCode::unsupported, where, "the member is encrypted");
    if (entry.method != 0 && entry.method != 8) {
        throw Error(ErrorCode::unsupported, where,
                    "the member is compressed by method " + std::to_string(entry.method) +
                        "; only stored and deflated members are read, save the file again");
    }
    if (entry.method == 0 && entry.size != entry.compressed)
        malformed(source, "gives the stored member " + entry.name + " two sizes");
}

}  // namespace

const ZipEntry* ZipDirectory::find(std::string_view name) const {
    const auto found =
        std::find_if(entries.begin(), entries.end(), [&](const ZipEntry& entry) { return entry.name == name; });
    return found == entries.end() ? nullptr : &*found;
}

ZipDirectory readZip(const ByteSource& source) {
    const End end = findEnd(source);
    if (end.size > mostDirectoryBytes)
        throw Error(ErrorCode::tooLarge, source.name(), "a zip directory of " + std::to_string(end.size) + " bytes");
    if (end.entries > end.size / 46) malformed(source, "counts more members than its directory can hold");
    const std::vector<std::byte> central = readBytes(source, end.offset, end.size);
    ZipDirectory zip;
    zip.centralOffset = end.offset;
    zip.centralEnd = end.offset + end.size;
    zip.endOffset = end.position;
    std::unordered_set<std::string> names;
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < end.entries; ++i) {
        const std::byte* record = central.data() + at;
        if (central.size() - at < 46 || loadLittle<std::uint32_t>(record) != centralMark)
            malformed(source, "has a damaged directory");
        const std::size_t nameSize = loadLittle<std::uint16_t>(record + 28);
        const std::size_t extraSize = loadLittle<std::uint16_t>(record + 30);
        const std::size_t commentSize = loadLittle<std::uint16_t>(record + 32);
        if (central.size() - at - 46 < nameSize + extraSize + commentSize) malformed(source, "has a damaged directory");
        ZipEntry entry;
        entry.flags = loadLittle<std::uint16_t>(record + 8);
        entry.method = loadLittle<std::uint16_t>(record + 10);
        entry.time = loadLittle<std::uint16_t>(record + 12);
        entry.date = loadLittle<std::uint16_t>(record + 14);
        entry.crc = loadLittle<std::uint32_t>(record + 16);
        entry.compressed = loadLittle<std::uint32_t>(record + 20);
        entry.size = loadLittle<std::uint32_t>(record + 24);
        entry.localOffset = loadLittle<std::uint32_t>(record + 42);
        entry.centralOffset = end.offset + at;
        entry.name = std::string(asText({record + 46, nameSize}));
        readZip64Extra(source, {record + 46 + nameSize, extraSize}, entry);
        checkEntry(source, entry);
        readLocalHeader(source, entry, end.offset);
        if (!names.insert(entry.name).second) malformed(source, "holds two members named " + entry.name);
        zip.entries.push_back(std::move(entry));
        at += 46 + nameSize + extraSize + commentSize;
    }
    if (at != central.size()) malformed(source, "has a directory of another length than it says");

    zip.inFile.resize(zip.entries.size());
    std::iota(zip.inFile.begin(), zip.inFile.end(), std::size_t{0});
    std::sort(zip.inFile.begin(), zip.inFile.end(),
              [&](std::size_t a, std::size_t b) { return zip.entries[a].localOffset < zip.entries[b].localOffset; });
    // Overlapping members are how a small file inflates to petabytes, and how a rewrite would corrupt its neighbour.
    for (std::size_t i = 0; i < zip.inFile.size(); ++i) {
        const ZipEntry& entry = zip.entries[zip.inFile[i]];
        const std::uint64_t dataEnd = entry.dataOffset + entry.compressed + (entry.hasDescriptor() ? 12 : 0);
        const bool last = i + 1 == zip.inFile.size();
        if (dataEnd > (last ? zip.centralOffset : zip.entries[zip.inFile[i + 1]].localOffset)) {
            malformed(source, "has overlapping members: " + entry.name + " and " +
                                  (last ? "the directory" : zip.entries[zip.inFile[i + 1]].name));
        }
    }
    return zip;
}

std::unique_ptr<ByteSource> openMember(const std::shared_ptr<const ByteSource>& source, const ZipEntry& entry,
                                       std::uint64_t wanted, const std::string& where) {
    if (entry.stored())
        return std::make_unique<SliceSource>(source, entry.dataOffset, std::min(wanted, entry.size), where);
    std::vector<std::byte> bytes = inflated(*source, entry.dataOffset, entry.compressed, entry.size, wanted, where);
    if (bytes.size() == entry.size) {
        Crc32 crc;
        crc.update(bytes);
        if (crc.value() != entry.crc)
            throw Error(ErrorCode::malformed, where,
                        "its checksum does not match: the file is damaged, copy or download it again");
    }
    return std::make_unique<OwnedSource>(where, std::move(bytes));
}

}  // namespace regauge

// Writing zip archives again, in one pass over the source wherever that is possible.
#include <algorithm>
#include <initializer_list>
#include <map>

#include "codec/crc32.hpp"
#include "codec/deflate.hpp"
#include "io/bytes.hpp"
#include "io/zip.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t bufferedBytes = std::uint64_t{16} << 20;
constexpr std::uint32_t elsewhere = 0xFFFFFFFFU;  // a 32-bit field whose value is in the zip64 extra field

void checkSize(const CrcSink& sink, const ZipEntry& entry, const ByteSource& source) {
    if (sink.count() != entry.size)
        throw Error(ErrorCode::internal, placeOf(source.name(), entry.name),
                    "a rewrite gave " + std::to_string(sink.count()) + " of " + std::to_string(entry.size) + " bytes");
}

// Sets a 32-bit field, unless its value is elsewhere.
void setNarrow(std::byte* field, std::uint64_t value, const ByteSource& source) {
    if (loadLittle<std::uint32_t>(field) == elsewhere) return;
    if (value >= elsewhere)
        throw Error(ErrorCode::tooLarge, source.name(),
                    "the archive would grow beyond 4 GiB, which its 32-bit directory cannot say; save it with np.savez "
                    "instead of np.savez_compressed");
    storeLittle(static_cast<std::uint32_t>(value), field);
}

// The body of the zip64 extra field; empty where there is none.
std::span<std::byte> zip64Extra(std::span<std::byte> extra) {
    while (extra.size() >= 4) {
        const std::size_t length = std::min<std::size_t>(loadLittle<std::uint16_t>(extra.data() + 2), extra.size() - 4);
        if (loadLittle<std::uint16_t>(extra.data()) == 1) return extra.subspan(4, length);
        extra = extra.subspan(4 + length);
    }
    return {};
}

class Rewriter {
public:
    Rewriter(const ByteSource& source, const ZipDirectory& zip, bool mendCrcs, ByteSink& out)
        : source_(source), zip_(zip), mendCrcs_(mendCrcs), out_(out), written_(zip.entries) {}

    void member(std::size_t index, const ZipPatch* patch) {
        const ZipEntry& entry = zip_.entries[index];
        copyTo(entry.localOffset);
        written_[index].localOffset = position_;
        if (patch == nullptr) return;
        if (!entry.stored()) {
            repack(index, *patch);
        } else if (mendCrcs_) {
            patchStored(index, *patch);
        } else {
            copyTo(entry.dataOffset);
            stream(entry, *patch);
        }
        at_ = entry.dataOffset + entry.compressed;
        if (mendCrcs_ && entry.hasDescriptor()) descriptor(entry, written_[index]);
    }

    // The directory and the end records, with what has changed.
    void finish() {
        copyTo(zip_.centralOffset);
        const std::uint64_t start = position_;
        std::vector<std::byte> central = readBytes(source_, zip_.centralOffset, zip_.centralEnd - zip_.centralOffset);
        for (const ZipEntry& entry : written_) {
            std::byte* record = central.data() + static_cast<std::size_t>(entry.centralOffset - zip_.centralOffset);
            const std::span<std::byte> extra(record + 46 + loadLittle<std::uint16_t>(record + 28),
                                             loadLittle<std::uint16_t>(record + 30));
            std::span<std::byte> wide = zip64Extra(extra);
            storeLittle(entry.crc, record + 16);
            for (const auto& [field, value] :
                 {std::pair(record + 24, entry.size), std::pair(record + 20, entry.compressed),
                  std::pair(record + 42, entry.localOffset)}) {
                if (loadLittle<std::uint32_t>(field) == elsewhere && wide.size() >= 8) {
                    storeLittle(value, wide.data());
                    wide = wide.subspan(8);
                } else {
                    setNarrow(field, value, source_);
                }
            }
        }
        write(central);
        at_ = zip_.centralEnd;
        std::vector<std::byte> tail = readBytes(source_, zip_.centralEnd, source_.size() - zip_.centralEnd);
        std::byte* end = tail.data() + static_cast<std::size_t>(zip_.endOffset - zip_.centralEnd);
        if (zip_.endOffset > zip_.centralEnd) {
            storeLittle(start, tail.data() + 48);  // zip64 end record: where the directory begins
            storeLittle(position_, end - 20 + 8);  // its locator: where that record is
        }
        setNarrow(end + 16, start, source_);
        write(tail);
    }

private:
    void write(std::span<const std::byte> bytes) {
        out_.write(bytes);
        position_ += bytes.size();
    }
    void copyTo(std::uint64_t end) {
        copyBytes(source_, at_, end - at_, out_);
        position_ += end - at_;
        at_ = end;
    }
    std::uint32_t stream(const ZipEntry& entry, const ZipPatch& patch) {
        CrcSink sink(&out_);
        patch.write(sink);
        checkSize(sink, entry, source_);
        position_ += sink.count();
        return sink.crc();
    }
    std::vector<std::byte> localHeader(const ZipEntry& entry) const {
        return readBytes(source_, entry.localOffset, entry.dataOffset - entry.localOffset);
    }

    // Whether the CRC stands before the data, too. Where a descriptor follows, it is usually 0 there.
    bool hasLocalCrc(const ZipEntry& entry, const std::vector<std::byte>& header) const {
        const std::uint32_t stated = loadLittle<std::uint32_t>(header.data() + 14);
        if (stated != entry.crc && !entry.hasDescriptor()) {
            throw Error(ErrorCode::malformed, placeOf(source_.name(), entry.name),
                        "the checksum before the member is not the directory's; save the file again");
        }
        return stated == entry.crc && !(entry.hasDescriptor() && entry.crc == 0);
    }

    void patchStored(std::size_t index, const ZipPatch& patch) {
        const ZipEntry& entry = zip_.entries[index];
        std::vector<std::byte> header = localHeader(entry);
        std::uint32_t& crc = written_[index].crc;
        if (!hasLocalCrc(entry, header)) {
            write(header);
            crc = stream(entry, patch);
            return;
        }
        // The CRC is needed before the bytes: small members wait in memory, large ones are made twice.
        const bool buffered = entry.size <= bufferedBytes;
        MemorySink memory;
        CrcSink first(buffered ? &memory : nullptr);
        patch.write(first);
        checkSize(first, entry, source_);
        crc = first.crc();
        storeLittle(crc, header.data() + 14);
        write(header);
        if (buffered) {
            write(memory.bytes());
        } else {
            stream(entry, patch);
        }
    }

    void repack(std::size_t index, const ZipPatch& patch) {
        const ZipEntry& entry = zip_.entries[index];
        ZipEntry& written = written_[index];
        std::vector<std::byte> header = localHeader(entry);
        MemorySink memory;
        CrcSink sink(&memory);
        patch.write(sink);
        checkSize(sink, entry, source_);
        const std::vector<std::byte> packed = deflated(memory.bytes());
        written.crc = sink.crc();
        written.compressed = packed.size();
        if (hasLocalCrc(entry, header)) storeLittle(written.crc, header.data() + 14);
        if (loadLittle<std::uint32_t>(header.data() + 18) == entry.compressed)
            setNarrow(header.data() + 18, written.compressed, source_);
        const std::span<std::byte> wide = zip64Extra(std::span(header).subspan(30 + entry.name.size()));
        if (wide.size() >= 16 && loadLittle<std::uint64_t>(wide.data() + 8) == entry.compressed)
            storeLittle(written.compressed, wide.data() + 8);
        write(header);
        write(packed);
    }

    // CRC and sizes behind the data; a signature may or may not come first, and sizes have 32 or 64 bits.
    void descriptor(const ZipEntry& entry, const ZipEntry& written) {
        const std::uint64_t room = std::min<std::uint64_t>(24, source_.size() - at_);
        std::vector<std::byte> bytes = readBytes(source_, at_, room);
        bytes.resize(24);
        const std::size_t start = loadLittle<std::uint32_t>(bytes.data()) == 0x08074b50 ? 4 : 0;
        if (loadLittle<std::uint32_t>(bytes.data() + start) != entry.crc) {
            throw Error(ErrorCode::malformed, placeOf(source_.name(), entry.name),
                        "the checksum behind the member is not the directory's; save the file again");
        }
        storeLittle(written.crc, bytes.data() + start);
        std::size_t size = start + 4;
        if (written.compressed != entry.compressed) {
            const bool wide = loadLittle<std::uint64_t>(bytes.data() + size) == entry.compressed &&
                              loadLittle<std::uint32_t>(bytes.data() + size + 4) != entry.size;
            if (!wide) setNarrow(bytes.data() + size, written.compressed, source_);
            if (wide) storeLittle(written.compressed, bytes.data() + size);
            size += wide ? 8 : 4;
        }
        write(std::span(bytes).first(size));
        at_ += size;
    }

    const ByteSource& source_;
    const ZipDirectory& zip_;
    bool mendCrcs_;
    ByteSink& out_;
    std::vector<ZipEntry> written_;  // as they are in the new archive
    std::uint64_t at_ = 0;           // in the source
    std::uint64_t position_ = 0;     // in the new archive
};

// Little-endian fields: each a value and how many bytes it takes.
using Fields = std::initializer_list<std::pair<std::uint64_t, std::size_t>>;

void append(std::vector<std::byte>& to, Fields fields) {
    for (const auto& [value, size] : fields)
        for (std::size_t i = 0; i < size; ++i) to.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void append(std::vector<std::byte>& to, std::string_view text) {
    to.insert(to.end(), asBytes(text).begin(), asBytes(text).end());
}

// What stands before a stored member (APPNOTE 4.3.7), padded so that its bytes begin at a multiple of 64.
std::vector<std::byte> localHeader(const NewMember& member, std::uint32_t crc, std::uint64_t position) {
    const std::uint64_t bare = position + 30 + member.name.size() + 4,
                        padding = (64 - bare % 64) % 64;  // in an extra field "FB", as PyTorch pads
    std::vector<std::byte> header;
    append(header, {{0x04034b50, 4}, {0, 2}, {0, 2}, {0, 2}, {0, 4}, {crc, 4}});
    append(header, {{member.size, 4}, {member.size, 4}, {member.name.size(), 2}, {4 + padding, 2}});
    append(header, member.name);
    append(header, {{0x4246, 2}, {padding, 2}});
    header.resize(header.size() + static_cast<std::size_t>(padding), std::byte{'Z'});
    return header;
}

// A member's line in the central directory (APPNOTE 4.3.12).
void appendEntry(std::vector<std::byte>& directory, const NewMember& member, std::uint32_t crc,
                 std::uint64_t position) {
    append(directory, {{0x02014b50, 4}, {0, 2}, {0, 2}, {0, 2}, {0, 2}, {0, 4}, {crc, 4}});
    append(directory, {{member.size, 4}, {member.size, 4}, {member.name.size(), 2}, {0, 2}, {0, 2}});
    append(directory, {{0, 2}, {0, 2}, {0, 4}, {position, 4}});
    append(directory, member.name);
}

}  // namespace

void rewriteZip(const ByteSource& source, const ZipDirectory& zip, const std::vector<ZipPatch>& patches, bool mendCrcs,
                ByteSink& out) {
    std::map<std::size_t, const ZipPatch*> byEntry;
    for (const ZipPatch& patch : patches) byEntry[patch.entry] = &patch;
    Rewriter rewriter(source, zip, mendCrcs, out);
    for (const std::size_t index : zip.inFile) {
        const auto found = byEntry.find(index);
        rewriter.member(index, found == byEntry.end() ? nullptr : found->second);
    }
    rewriter.finish();
}

void writeZip(const std::vector<NewMember>& members, const std::string& where, ByteSink& out) {
    std::vector<std::byte> directory;
    std::uint64_t position = 0;
    if (members.size() > 65535)
        throw Error(ErrorCode::tooLarge, where,
                    "would need an archive of " + std::to_string(members.size()) +
                        " members; save copies of the tensors, e.g. with .clone()");
    for (const NewMember& member : members) {
        if (position + member.size > elsewhere - (std::uint64_t{1} << 20))
            throw Error(
                ErrorCode::tooLarge, where,
                "would grow beyond 4 GiB where its tensors no longer share memory; save copies, e.g. with .clone()");
        CrcSink sum(nullptr);
        member.write(sum);
        if (sum.count() != member.size)
            throw Error(
                ErrorCode::internal, placeOf(where, member.name),
                "a rewrite gave " + std::to_string(sum.count()) + " of " + std::to_string(member.size) + " bytes");
        const std::vector<std::byte> header = localHeader(member, sum.crc(), position);
        out.write(header);
        member.write(out);
        appendEntry(directory, member, sum.crc(), position);
        position += header.size() + member.size;
    }
    out.write(directory);
    std::vector<std::byte> end;  // APPNOTE 4.3.16
    append(end, {{0x06054b50, 4}, {0, 2}, {0, 2}, {members.size(), 2}, {members.size(), 2}});
    append(end, {{directory.size(), 4}, {position, 4}, {0, 2}});
    out.write(end);
}

}  // namespace regauge

// Writing zip archives again, in one pass over the source wherever that is possible.
#include <algorithm>
#include <map>

#include "bytes.hpp"
#include "crc32.hpp"
#include "zip.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t bufferedBytes = std::uint64_t{16} << 20;

void checkSize(const CrcSink& sink, const ZipEntry& entry, const ByteSource& source) {
    if (sink.count() != entry.size) throw Error(ErrorCode::internal, placeOf(source.name(), entry.name), "a rewrite gave " + std::to_string(sink.count()) + " of " + std::to_string(entry.size) + " bytes");
}

void writeNumber(ByteSink& out, std::uint64_t value, std::size_t size) {
    std::byte bytes[8];
    storeLittle(value, bytes);
    out.write({bytes, size});
}

// Where a data descriptor keeps its CRC; it may or may not begin with a signature.
std::uint64_t descriptorCrcOffset(const ByteSource& source, const ZipEntry& entry) {
    const std::uint64_t at = entry.dataOffset + entry.compressed;
    const std::vector<std::byte> bytes = readBytes(source, at, 8);
    const bool hasMark = loadLittle<std::uint32_t>(bytes.data()) == 0x08074b50;
    if (loadLittle<std::uint32_t>(bytes.data() + (hasMark ? 4 : 0)) != entry.crc) {
        throw Error(ErrorCode::malformed, placeOf(source.name(), entry.name), "the checksum behind the member is not the directory's; save the file again");
    }
    return at + (hasMark ? 4 : 0);
}

// Same layout, new bytes: the CRCs stand in the directory, behind the data or before it.
void patchInPlace(const ByteSource& source, const ZipDirectory& zip, const std::map<std::size_t, const ZipPatch*>& patches, bool mendCrcs, ByteSink& out) {
    std::uint64_t at = 0;
    const auto copyTo = [&](std::uint64_t end) {
        copyBytes(source, at, end - at, out);
        at = end;
    };
    std::map<std::uint64_t, std::uint32_t> crcs;  // position in the directory -> new CRC
    for (const std::size_t index : zip.inFile) {
        const auto found = patches.find(index);
        if (found == patches.end()) continue;
        const ZipEntry& entry = zip.entries[index];
        const ZipPatch& patch = *found->second;
        if (!mendCrcs) {
            copyTo(entry.dataOffset);
            CrcSink sink(&out);
            patch.write(sink);
            checkSize(sink, entry, source);
            at = entry.dataOffset + entry.size;
            continue;
        }
        const std::uint64_t localCrc = entry.localOffset + 14;
        const std::uint32_t stated = loadLittle<std::uint32_t>(readBytes(source, localCrc, 4).data());
        if (stated != entry.crc && !entry.hasDescriptor()) {
            throw Error(ErrorCode::malformed, placeOf(source.name(), entry.name), "the checksum before the member is not the directory's; save the file again");
        }
        const bool crcBefore = stated == entry.crc && !(entry.hasDescriptor() && entry.crc == 0);
        std::uint32_t crc = 0;
        if (crcBefore || entry.size <= bufferedBytes) {
            // The CRC is needed before the bytes: small members wait in memory, large ones are made twice.
            MemorySink memory;
            CrcSink first(entry.size <= bufferedBytes ? &memory : nullptr);
            patch.write(first);
            checkSize(first, entry, source);
            crc = first.crc();
            copyTo(localCrc);
            if (crcBefore) {
                writeNumber(out, crc, 4);
                at += 4;
            }
            copyTo(entry.dataOffset);
            if (entry.size <= bufferedBytes) {
                out.write(memory.bytes());
            } else {
                CrcSink second(&out);
                patch.write(second);
                checkSize(second, entry, source);
            }
        } else {
            copyTo(entry.dataOffset);
            CrcSink sink(&out);
            patch.write(sink);
            checkSize(sink, entry, source);
            crc = sink.crc();
        }
        at = entry.dataOffset + entry.size;
        if (entry.hasDescriptor()) {
            copyTo(descriptorCrcOffset(source, entry));
            writeNumber(out, crc, 4);
            at += 4;
        }
        crcs[entry.centralOffset + 16] = crc;
    }
    for (const auto& [position, crc] : crcs) {
        copyTo(position);
        writeNumber(out, crc, 4);
        at += 4;
    }
    copyTo(source.size());
}

// A fresh archive. Every size is written in 64 bits (tag 1), so that no case needs a second layout.
class FreshZip {
public:
    explicit FreshZip(ByteSink& out) : out_(out) {}

    void add(const ZipEntry& entry, const ByteSource& source, const ZipPatch* patch) {
        ZipEntry written = entry;
        written.localOffset = position_;
        const std::uint16_t utf8 = entry.flags & 0x800U;
        written.flags = static_cast<std::uint16_t>(patch != nullptr ? utf8 | 8U : utf8);
        written.method = patch != nullptr ? std::uint16_t{0} : entry.method;
        if (patch != nullptr) written.compressed = entry.size;
        header(written, patch != nullptr);
        CrcSink data(&out_);
        if (patch != nullptr) {
            patch->write(data);
            checkSize(data, entry, source);
            written.crc = data.crc();
        } else {
            copyBytes(source, entry.dataOffset, entry.compressed, data);
        }
        position_ += data.count();
        if (patch != nullptr) {
            number(0x08074b50, 4);
            number(written.crc, 4);
            number(written.size, 8);
            number(written.size, 8);
        }
        entries_.push_back(std::move(written));
    }

    void finish() {
        const std::uint64_t start = position_;
        for (const ZipEntry& entry : entries_) {
            number(0x02014b50, 4);
            number(45, 2);
            common(entry, entry.crc, 28);
            number(0, 2);   // comment
            number(0, 2);   // disk
            number(0, 2);   // internal attributes
            number(0, 4);   // external attributes
            number(0xFFFFFFFFU, 4);
            text(entry.name);
            number(1, 2);
            number(24, 2);
            number(entry.size, 8);
            number(entry.compressed, 8);
            number(entry.localOffset, 8);
        }
        const std::uint64_t end = position_;
        number(0x06064b50, 4);
        number(44, 8);
        number(45, 2);
        number(45, 2);
        number(0, 4);
        number(0, 4);
        number(entries_.size(), 8);
        number(entries_.size(), 8);
        number(end - start, 8);
        number(start, 8);
        number(0x07064b50, 4);
        number(0, 4);
        number(end, 8);
        number(1, 4);
        number(0x06054b50, 4);
        number(0, 4);
        number(0xFFFF, 2);
        number(0xFFFF, 2);
        number(0xFFFFFFFFU, 4);
        number(0xFFFFFFFFU, 4);
        number(0, 2);
    }

private:
    void number(std::uint64_t value, std::size_t size) {
        writeNumber(out_, value, size);
        position_ += size;
    }
    void text(const std::string& value) {
        out_.write(asBytes(value));
        position_ += value.size();
    }
    void common(const ZipEntry& entry, std::uint32_t crc, std::size_t extraSize) {
        number(45, 2);
        number(entry.flags, 2);
        number(entry.method, 2);
        number(entry.time, 2);
        number(entry.date, 2);
        number(crc, 4);
        number(0xFFFFFFFFU, 4);
        number(0xFFFFFFFFU, 4);
        number(entry.name.size(), 2);
        number(extraSize, 2);
    }
    void header(const ZipEntry& entry, bool descriptor) {
        number(0x04034b50, 4);
        common(entry, descriptor ? 0 : entry.crc, 20);
        text(entry.name);
        number(1, 2);
        number(16, 2);
        number(entry.size, 8);
        number(entry.compressed, 8);
    }

    ByteSink& out_;
    std::uint64_t position_ = 0;
    std::vector<ZipEntry> entries_;
};

}  // namespace

void rewriteZip(const ByteSource& source, const ZipDirectory& zip, const std::vector<ZipPatch>& patches, bool mendCrcs, ByteSink& out) {
    std::map<std::size_t, const ZipPatch*> byEntry;
    bool inPlace = true;
    for (const ZipPatch& patch : patches) {
        byEntry[patch.entry] = &patch;
        inPlace = inPlace && zip.entries[patch.entry].stored();
    }
    if (inPlace) return patchInPlace(source, zip, byEntry, mendCrcs, out);
    FreshZip fresh(out);
    for (const std::size_t index : zip.inFile) {
        const auto found = byEntry.find(index);
        fresh.add(zip.entries[index], source, found == byEntry.end() ? nullptr : found->second);
    }
    fresh.finish();
}

}  // namespace regauge

// Zip archives, as .npz and .pt files are: reading the directory strictly, and writing an archive again with some
// members' bytes replaced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/io/byte_source.hpp"

namespace regauge {

// One member.   file:  .. [local header | name | extra] [data] [descriptor] ..  .. [central record] ..
//                        ^localOffset                   ^dataOffset                  ^centralOffset
struct ZipEntry {
    std::string name;
    std::uint16_t flags = 0;
    std::uint16_t method = 0;  // 0 stored, 8 deflated
    std::uint16_t time = 0;
    std::uint16_t date = 0;
    std::uint32_t crc = 0;
    std::uint64_t compressed = 0;
    std::uint64_t size = 0;
    std::uint64_t localOffset = 0;
    std::uint64_t dataOffset = 0;
    std::uint64_t centralOffset = 0;

    bool stored() const { return method == 0; }
    bool hasDescriptor() const { return (flags & 8U) != 0; }
};

struct ZipDirectory {
    std::vector<ZipEntry> entries;    // in the directory's order
    std::vector<std::size_t> inFile;  // their indices in the order of the data
    std::uint64_t centralOffset = 0;
    std::uint64_t centralEnd = 0;  // the zip64 end record follows, where there is one
    std::uint64_t endOffset = 0;   // of the end record
    const ZipEntry* find(std::string_view name) const;
};

// Throws Error: truncated, malformed (also: overlapping members, two of one name), unsupported (encrypted, other
// compressions).
ZipDirectory readZip(const ByteSource& source);

// A member's bytes: a part of the file where stored, inflated into memory where deflated. `wanted` < entry.size gives a
// prefix.
std::unique_ptr<ByteSource> openMember(const std::shared_ptr<const ByteSource>& source, const ZipEntry& entry,
                                       std::uint64_t wanted, const std::string& where);

// New bytes for one member: `write` gives exactly `entry.size` of them, the same whenever it is called.
struct ZipPatch {
    std::size_t entry = 0;
    std::function<void(ByteSink&)> write;
};

// Writes the archive again, in the same layout. Stored members are patched where they lie, with their CRCs; deflated
// ones are deflated again as zlib does by default, and what follows moves up or down. mendCrcs = false: an archive
// without true CRCs stays so.
void rewriteZip(const ByteSource& source, const ZipDirectory& zip, const std::vector<ZipPatch>& patches, bool mendCrcs,
                ByteSink& out);

// A member of a new archive; `write` gives exactly `size` bytes, the same whenever it is called.
struct NewMember {
    std::string name;
    std::uint64_t size = 0;
    std::function<void(ByteSink&)> write;
};

// A new archive of stored members, whose data begin at multiples of 64 as PyTorch's do. Throws Error(tooLarge) beyond 4
// GiB; where: for messages.
void writeZip(const std::vector<NewMember>& members, const std::string& where, ByteSink& out);

}  // namespace regauge

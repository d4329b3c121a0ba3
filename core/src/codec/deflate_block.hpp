// One block of DEFLATE from its symbols: Huffman codes (RFC 1951 section 3.2) chosen with zlib's tie rules. Internal to
// deflate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace regauge {

// A literal (distance 0, length = the byte) or a match.
struct DeflateSymbol {
    std::uint16_t distance = 0;
    std::uint16_t length = 0;
};

class DeflateBits {
public:
    // The low `count` bits of value, lowest first.
    void put(std::uint32_t value, unsigned count);
    void alignToByte();
    std::vector<std::byte> take();
    std::vector<std::byte>& bytes() { return bytes_; }  // only where aligned

private:
    std::vector<std::byte> bytes_;
    std::uint64_t pending_ = 0;
    unsigned pendingBits_ = 0;
};

// Writes the block as stored, fixed or dynamic, whichever zlib would choose. `raw`: the bytes that the symbols stand
// for.
void writeDeflateBlock(std::span<const DeflateSymbol> symbols, std::span<const std::byte> raw, bool last,
                       DeflateBits& out);

}  // namespace regauge

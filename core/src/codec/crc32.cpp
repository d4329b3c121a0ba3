#include "codec/crc32.hpp"

#include "io/bytes.hpp"

namespace regauge {
namespace {

// table[k][b]: the sum of byte b followed by k zero bytes.
constexpr std::array<std::array<std::uint32_t, 256>, 8> makeTables() {
    std::array<std::array<std::uint32_t, 256>, 8> tables{};
    for (std::uint32_t b = 0; b < 256; ++b) {
        std::uint32_t sum = b;
        for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
        tables[0][b] = sum;
    }
    for (std::size_t k = 1; k < 8; ++k) {
        for (std::size_t b = 0; b < 256; ++b)
            tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 0xFF];
    }
    return tables;
}

constexpr auto tables = makeTables();

}  // namespace

void Crc32::update(std::span<const std::byte> bytes) {
    std::uint32_t sum = state_;
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 8; left -= 8, at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, 8);  // little-endian machines only, as everywhere in regauge
        word ^= sum;
        sum = 0;
        for (std::size_t k = 0; k < 8; ++k) sum ^= tables[7 - k][(word >> (8 * k)) & 0xFF];
    }
    for (; left > 0; --left, ++at) sum = (sum >> 8) ^ tables[0][(sum ^ std::to_integer<std::uint32_t>(*at)) & 0xFF];
    state_ = sum;
}

}  // namespace regauge

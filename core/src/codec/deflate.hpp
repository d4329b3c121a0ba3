// Raw DEFLATE (RFC 1951), by the zlib that cmake/Dependencies.cmake pins: every build, native and wasm, writes the same
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"

namespace regauge {

// The most bytes that one member may decode to in memory.
constexpr std::uint64_t mostInflated = std::uint64_t{1} << 30;

// Encoded at zlib's default level, as np.savez_compressed writes its members: a file moved and moved back is then the
// same file. At most mostInflated bytes.
std::vector<std::byte> deflated(std::span<const std::byte> bytes);

// Decodes `size` compressed bytes at `offset` of `in`, which must decode to exactly `expected` bytes; returns the first
// `wanted` of them (all, and then checked to the last bit, where wanted == expected). Memory O(wanted). Throws Error:
// malformed, truncated, tooLarge.
std::vector<std::byte> inflated(const ByteSource& in, std::uint64_t offset, std::uint64_t size, std::uint64_t expected,
                                std::uint64_t wanted, const std::string& where);

}  // namespace regauge

// Raw DEFLATE (RFC 1951), decoded. Our own 200 lines instead of zlib, so that the native command, Node and the browser
// read the same .npz files in the same way with no dependency, and so that every limit is in sight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"

namespace regauge {

// Decodes `size` compressed bytes at `offset` of `in`, which must decode to exactly `expected` bytes; returns the first
// `wanted` of them (all, and then checked to the last bit, where wanted == expected). Memory O(wanted). Throws Error:
// malformed, truncated, tooLarge.
std::vector<std::byte> inflate(const ByteSource& in, std::uint64_t offset, std::uint64_t size, std::uint64_t expected,
                               std::uint64_t wanted, const std::string& where);

}  // namespace regauge

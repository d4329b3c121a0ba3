// Raw DEFLATE, encoded as zlib does at its default level 6: the same matches, the same blocks, the same codes, bit for
// bit.
// np.savez_compressed and every other user of zlib's defaults wrote their members so; a file moved and moved back is
// then the same file.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace regauge {

// Time and memory O(bytes).
std::vector<std::byte> deflate(std::span<const std::byte> bytes);

}  // namespace regauge

// The heading of a statistics file: everything but the sums.
//
//   "regauge stats"  13 bytes        then little-endian:
//   u8 0 · u16 version (2; for maps 3) · u32 bytes of the JSON
//   JSON: {"d", "gram", "chosen", "skip_first", "source": [{"name", "sha256"}, ..], "target": [..],
//          "gains": {"source": [name, ..], "target": [..]}, "sites": [{"name", "weights", "known", "covered": [[begin,
//          end], ..]}, ..]}; for maps "map_width", the target's d
//   f64 gains: a vector [d] for every name, the source's first
//   the SHA-256 of everything before it, in 64 hexadecimal digits
//
// Behind it, for every site an image of correlation/image.cpp: coarse; with Gram matrices a fine one after it. For maps
// an image of maps/joint_image.cpp, and where both widths are one the coarse sums of half 0 and of half 1, then the
// fine ones.
#pragma once

#include "regauge/statistics.hpp"

namespace regauge {

constexpr std::uint64_t largestRowNumber = std::uint64_t{1} << 44;  // their sums stay far inside 64 bits

void writeHeading(const Statistics::Heading& heading, ByteSink& out);

// The heading and where the images begin; what images say of a site is not in it yet. Throws Error: malformed,
// truncated, unsupported.
struct ReadHeading {
    Statistics::Heading heading;
    std::uint64_t end = 0;
};
ReadHeading readHeading(const ByteSource& file);

}  // namespace regauge

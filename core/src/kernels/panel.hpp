// How quantised rows lie in memory for the integer kernels.
//
// Channels go in panels of 32. In a panel, one 32-bit word holds a channel's values in 4 (int8) or 2 (int16)
// consecutive rows, lowest row in the lowest bits, so that one instruction multiplies and adds them; the words of 32
// channels lie side by side:
//
//              channel  0        1              31
//   rows 0..3        [ 3210 ] [ 3210 ] ...  [ 3210 ]     one group of rows: 128 bytes
//   rows 4..7        [ 7654 ] [ 7654 ] ...  [ 7654 ]
//
// Missing channels (d not a multiple of 32), missing rows and rows left out are zeros: they add nothing to any sum.
#pragma once

#include <cstddef>
#include <cstdint>

namespace regauge::kernels {

inline constexpr std::size_t panelWidth = 32;
inline constexpr std::size_t tileSize = panelWidth * panelWidth;

// Quantised values are in [-limit, limit]. Seven bits for coarse ones, so that instructions that add two products of
// bytes in 16 bits (vpmaddubsw) cannot saturate; fine ones take more than a byte.
inline constexpr int coarseLimit = 63;
inline constexpr int fineLimit = 511;
// Of the coarse sums that the first release wrote to files.
inline constexpr int earlierCoarseLimit = 127;
constexpr bool isLimit(int limit) { return limit == coarseLimit || limit == fineLimit || limit == earlierCoarseLimit; }

constexpr std::size_t panelsOf(std::size_t d) { return (d + panelWidth - 1) / panelWidth; }

}  // namespace regauge::kernels

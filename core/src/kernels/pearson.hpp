// From integer sums to correlations, one tile of 32 x 32 channels at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.hpp"
#include "kernels/panel.hpp"

namespace regauge::kernels {

// The sums of the 32 channels on one edge of a tile.
struct PearsonEdge {
    const double* sums;       // [32] sum of q over all rows; integers, exact
    const double* part;       // [32] what the products' mean is taken off with, see below
    const double* variances;  // [32] n sum of q^2 - (sum of q)^2 over all rows, rounded once; 0 = constant
};

// r[i * 32 + j] = (n S_ij - s_i p_j - p_i s_j) / sqrt(v_i v_j), 0 where either is constant; IEEE double, so the same
// bits everywhere. s: sums, p: part.
//   All rows: p_j = s_j and p_i = 0.  Some of the rows, h: S is over those, p_j = h's sum of q_j and p_i = h's sum of
//   q_i - (h's share of the rows) s_i.
// products: integers as doubles. Where n S_ij and s_i s_j stay below 2^53, double arithmetic is exact up to the share
// and the square root.
using PearsonTile = void (*)(const double* products, double n, PearsonEdge rows, PearsonEdge columns, double* r);

PearsonTile pearsonTile(Isa isa);

// The definition.
PearsonTile pearsonTileReference();

}  // namespace regauge::kernels

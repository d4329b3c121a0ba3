// Products of matrices in integers: every column of both is rounded to 12 bits of its largest entry, so the sums are exact, the same in whatever order and on
// every machine, and two to three times as fast as those of float32, which may not fuse.
//
// Rounding adds noise of at most 2.5e-4 of a column's largest entry (1.4e-4 on average). Correlations of n rows are known to 1 / sqrt(n) at best, so this is
// for statistics that make small directions only moderately louder.
#pragma once

#include <span>

#include "symmetric.hpp"

namespace regauge {

// out[i, j] = sum over k of a[k, i] b[k, j]: the transpose of a, times b, all d x d. The diagonal of b, which may stand far above the rest, is not rounded.
void transposeTimes(std::span<const float> a, const Symmetric& b, unsigned threads, std::span<float> out);

}  // namespace regauge

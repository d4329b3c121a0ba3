// Products of matrices in bytes: every column is rounded to 127 steps of its largest entry, and every column of the
// symmetric matrix to 63, so the sums are exact, the same in whatever order and on every machine, and up to four times
// as fast as those of float32, which may not fuse.
//
// Rounding adds noise of at most 0.4 % of a column's largest entry (0.2 % on average), 0.8 % (0.4 %) on the symmetric
// side. Correlations of n rows are known to 1 / sqrt(n) at best, so this is for statistics that make no direction much
// louder, and answers that must be beyond doubt to count. (experiments/reference/README.md has what seven bits on both
// sides would leave in doubt.)
#pragma once

#include <span>
#include <vector>

#include "correlation/packed_rows.hpp"
#include "kernels/integer_dot.hpp"
#include "numeric/symmetric.hpp"

namespace regauge {

// The columns of a matrix, rounded: value = step * integer.
struct Rounded {
    PackedRows rows;
    std::vector<float> step;
};

// A symmetric matrix, ready for many products. Its diagonal, which may stand far above the rest, is not rounded.
class RoundedSymmetric {
public:
    RoundedSymmetric(const Symmetric& matrix, unsigned threads);

    // out[i, j] = sum over k of a[k, i] b[k, j]: the transpose of a, times this, all d x d.
    void transposeTimes(std::span<const float> a, unsigned threads, std::span<float> out) const;

private:
    std::vector<float> diagonal_;
    kernels::IntegerDot kernel_;
    Rounded rounded_;
};

}  // namespace regauge

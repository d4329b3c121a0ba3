// Signed similarity between target channels (rows) and source channels (columns), and what one matrix answers on its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../kernels/aligned_buffer.hpp"
#include "regauge/match.hpp"

namespace regauge {

// value[i * d + j]: of target channel i and source channel j. In [-1, 1], or in spreads (block.hpp).
struct ScoreMatrix {
    std::size_t d = 0;
    kernels::UnclearedVector<float> value;
};

// The best gauge under a group, and per target channel its score.
struct Answer {
    Gauge gauge = Gauge::identity(0);
    std::vector<double> score;
};

// Cuts to integers and solves the assignment exactly (paper section 4):
//   signed       maximise sum |value[i, perm[i]]|, sign[i] = sgn value[i, perm[i]]   (sign-marginalized matching)
//   permutation  maximise sum value[i, perm[i]], all signs +1                        (raw signed matching, the baseline)
//   layernorm    the better of +value and -value, one sign for all
// A channel whose row is all zero (constant) gets sign 0.
Answer solve(const ScoreMatrix& scores, Group group, unsigned threads, const Progress& progress);
// The same of a + b, without making room for it.
Answer solveSum(const ScoreMatrix& a, const ScoreMatrix& b, Group group, unsigned threads, const Progress& progress);

// The share of channels on which two gauges agree in place and sign.
double agreement(const Gauge& a, const Gauge& b);

}  // namespace regauge

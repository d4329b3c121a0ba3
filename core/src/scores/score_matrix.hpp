// Signed similarity between target channels (rows) and source channels (columns), and what one matrix answers on its
// own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/aligned_buffer.hpp"
#include "regauge/alignment.hpp"
#include "regauge/progress.hpp"

namespace regauge {

// value[i * d + j]: of target channel i and source channel j. In [-1, 1], or in spreads (block.hpp).
struct ScoreMatrix {
    std::size_t d = 0;
    kernels::UnclearedVector<float> value;
};

// A score matrix, or the sum of two for which no room is made.
class ScoreRows {
public:
    ScoreRows(const ScoreMatrix& scores) : d_(scores.d), first_(scores.value.data()), second_(nullptr) {}
    ScoreRows(const ScoreMatrix& a, const ScoreMatrix& b) : d_(a.d), first_(a.value.data()), second_(b.value.data()) {}

    std::size_t d() const { return d_; }
    float at(std::size_t i, std::size_t j) const {
        return second_ == nullptr ? first_[i * d_ + j] : first_[i * d_ + j] + second_[i * d_ + j];
    }
    // Row i, in `room` where it is a sum.
    const float* row(std::size_t i, std::vector<float>& room) const {
        const float* first = first_ + i * d_;
        if (second_ == nullptr) return first;
        const float* second = second_ + i * d_;
        room.resize(d_);
        for (std::size_t j = 0; j < d_; ++j) room[j] = first[j] + second[j];
        return room.data();
    }

private:
    std::size_t d_;
    const float *first_, *second_;
};

// The best gauge under a group, and per target channel its score.
struct Answer {
    Gauge gauge = Gauge::identity(0);
    std::vector<double> score;
};

// Cuts to integers and solves the assignment exactly (paper section 4):
//   signed       maximise sum |value[i, perm[i]]|, sign[i] = sgn value[i, perm[i]]   (sign-marginalized matching)
//   permutation  maximise sum value[i, perm[i]], all signs +1                        (raw signed matching, the
//   baseline) layernorm    the better of +value and -value, one sign for all
// A channel whose row is all zero (constant) gets sign 0.
Answer solve(const ScoreRows& scores, Group group, unsigned threads, const Progress& progress);

// The share of channels on which two gauges agree in place and sign.
double agreement(const Gauge& a, const Gauge& b);

}  // namespace regauge

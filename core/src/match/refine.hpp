// Second-order evidence: how channels of one model relate to each other, which a gauge must carry from one side to the
// other.
#pragma once

#include <vector>

#include "numeric/symmetric.hpp"
#include "regauge/progress.hpp"
#include "scores/block.hpp"

namespace regauge {

// Off-diagonal structure of both sides, scaled so that every channel counts alike: zero on the diagonal.
struct Structure {
    Symmetric source, target;
};

// m with its diagonal and its constant channels zeroed, and row i and column i divided by the root of the norm of row
// i.
Symmetric offDiagonal(const Symmetric& m, std::span<const std::uint8_t> constant);

struct Refined {
    Answer answer;         // of `combined`
    ScoreMatrix combined;  // z + T, in spreads
    ScoreMatrix fitted;    // T, in spreads; empty where the structures say nothing
};

// How well pairs fit a gauge on the other channels (T below), all structures together, in spreads; empty where they say
// nothing. weight: per target channel, how much it counts.
ScoreMatrix fitOf(const std::vector<Structure>& structures, const Gauge& gauge, const std::vector<double>& weight,
                  unsigned threads);

// Seeded graph matching: adds to the scores z (in spreads) how well a pair (i, j) fits the present answer on the other
// channels,
//
//     T[i, j] = sum over k of target[i, k] sign[k] weight[k] source[perm[k], j]
//
// and solves again, up to 12 times or until an answer repeats. T leaves the pair itself out. One product and one
// assignment a round and structure.
Refined refine(const ScoreMatrix& z, const Answer& first, const std::vector<Structure>& structures, Group group,
               unsigned threads, const Progress& progress);

}  // namespace regauge

// A block: one statistic of one site, as two halves of a score matrix, and how far it can be believed.
//
// "In spreads" means divided by the root mean square of the entries that are not matched: what chance alone would give.
#pragma once

#include <array>
#include <vector>

#include "regauge/progress.hpp"
#include "scores/score_matrix.hpp"

namespace regauge {

// Two matrices that add up to the statistic: each comes from one half of the rows.
using Halves = std::array<ScoreMatrix, 2>;

ScoreMatrix sum(const Halves& halves);

// Root mean square of the entries that `gauge` does not match.
double spread(const ScoreRows& scores, const Gauge& gauge, unsigned threads);

// How far a channel's winner in one half beats its runner-up in the other half, in spreads: the mean over both halves
// and both sides.
// Near 0 where the best pair is only the largest of many, however reproducible: which agreement of the halves cannot
// see.
// For the permutation baseline the winner is the largest entry, not the largest in absolute value.
double advantage(const Halves& halves, Group group, unsigned threads);

// Per target channel, in spreads: the matched score with its sign, and the best alternative in its row or its column.
struct Margins {
    std::vector<double> matched;
    std::vector<double> runnerUp;
    double mean() const;  // of matched - runnerUp
};
Margins margins(const ScoreRows& scores, const Gauge& gauge, Group group, unsigned threads);

// An answer this far above chance (in spreads; independent models stay below 0.45 and 0.1) to which both halves come on
// their own is beyond doubt. Of blocks without that last condition, those at least 2 spreads above chance were down to
// 68 % right (experiments/reference/README.md).
inline constexpr double sureAdvantage = 2, sureMargin = 2, sureAgreement = 0.98;

// One statistic of one site, or several fused: solved, as a whole and by halves.
struct Block {
    Halves halves;
    double advantage = 0;
    Answer answer;                                                        // of the sum
    std::array<Gauge, 2> ofHalf{Gauge::identity(0), Gauge::identity(0)};  // what each half answers on its own
    Margins margins;
    double unit = 1;  // the spread of the sum
    bool sure() const {
        return advantage >= sureAdvantage && margins.mean() >= sureMargin &&
               agreement(ofHalf[0], ofHalf[1]) >= sureAgreement;
    }
    double weight() const { return advantage > 0 ? advantage * advantage : 0; }
};

Block makeBlock(Halves halves, Group group, unsigned threads, const Progress& progress);

// The block's sum in units of its spread.
ScoreMatrix inSpreads(const Block& block);

// into += factor * more.
void add(ScoreMatrix& into, double factor, const ScoreMatrix& more);

}  // namespace regauge

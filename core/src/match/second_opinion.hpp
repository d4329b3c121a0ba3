// Plain correlation's answer beside the whitened one.
#pragma once

#include <vector>

#include "match/fusion.hpp"
#include "match/gain_scores.hpp"

namespace regauge {

// Where noise is alike in all channels, as in few rows or after a light drift, whitening only makes it louder, and
// plain correlation is the better answer.
struct SecondOpinion {
    bool better = false;  // than the answer at hand: it leaves less of the target unexplained
    Block block;          // of its rows
    Answer answer;
    Margins margins;
    double agreement = 0;
    std::vector<double> confidence;
};

// estimate: of the answer at hand. gains: those that took part in it, or nullptr. Uses the witness up.
SecondOpinion askPlainCorrelation(Witness& witness, const GainMatch* gains, const Gauge& atHand, double estimate,
                                  const MatchOptions& options, const Progress& progress);

}  // namespace regauge

// A confidence without fitted coefficients: what Bayes' rule says of a gauge, given the scores of all pairs.
//
// Of pairs that do not belong together scores are normal numbers (measured on a real LLM: kurtosis 2.8 to 3.1). Of
// those that do, the strength of the match is added, with its sign. How strengths are distributed is not assumed but
// found from the scores themselves, by expectation maximisation over a grid (Kiefer and Wolfowitz 1956; Laird 1978);
// every channel has one partner, so likelihood ratios are scaled until rows and columns add up to one (Sinkhorn 1967).
#pragma once

#include <cstdint>
#include <vector>

#include "match/refine.hpp"
#include "scores/score_matrix.hpp"

namespace regauge {

// Probability that a target channel's partner and sign are right. 0 where the gauge leaves the sign open. Time O(d^2),
// with a factor of some hundreds.
std::vector<double> posterior(const ScoreRows& scores, const Gauge& gauge, Group group, unsigned threads);

// The same, of z (in spreads), and of z with the fit of each pair to the others (refine.hpp), which count as much as
// they are believed; again while that tells more.
std::vector<double> votedPosterior(const ScoreMatrix& z, const Gauge& gauge, const std::vector<Structure>& structures,
                                   Group group, unsigned threads, const Progress& progress);

// The gauge that expects most right channels, and per target channel the probability that it is.
struct Placed {
    Gauge gauge;
    std::vector<double> probability;
};

// Scores and gains together: `places` (likelyPlaces) says how likely pairs are before their scores are seen; then
// channels vote as above, and the gauge moves with them, while that tells more. `first` is where strengths are looked
// for at first.
Placed placedPosterior(const ScoreMatrix& z, const ScoreMatrix& places, const Gauge& first,
                       const std::vector<Structure>& structures, Group group, unsigned threads,
                       const Progress& progress);

}  // namespace regauge

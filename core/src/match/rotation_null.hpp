// A confidence without fitted coefficients: how much better does a gauge match than the same shared content in random
// coordinates would?
//
// If two models share content but no coordinates, the whitened cross-correlation K is as likely as Q K for any rotation
// Q of the target's side. So the scores of a gauge in K are compared with those of the best assignments of Q K: the
// local false discovery rate, channel by channel. Channels that are sure are fixed, and the rest is asked again among
// themselves. Rotations commute with sums over sites and statistics, so K may be a fused matrix.
#pragma once

#include <vector>

#include "scores/score_matrix.hpp"

namespace regauge {

// Probability that a target channel's partner and sign are right; 0 where the gauge leaves the sign open or the score
// is 0. The same bits everywhere:
// rotations are signs and permutations from splitmix64 and Walsh-Hadamard transforms. Time O(d^3) with a small factor:
// a dozen assignments.
std::vector<double> rotationConfidence(const ScoreRows& scores, const Gauge& gauge, Group group, unsigned threads,
                                       const Progress& progress);

}  // namespace regauge

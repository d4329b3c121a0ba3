// How likely each channel of an answer is right, and the verdict that follows.
#pragma once

#include <vector>

#include "refine.hpp"

namespace regauge {

// Probability of being right, per target channel. Calibrated on pairs of small models trained for it (experiments/README.md).
// fused: the halves of the fused scores, in spreads.
std::vector<double> channelProbabilities(const Refined& refined, const ScoreMatrix& z, double advantage, Group group);

// The same for an answer that needed no refinement.
std::vector<double> channelProbabilities(const ScoreMatrix& z, const Answer& answer, Group group);

// aligned: estimate >= 0.9; unrelated: < 0.45.
Verdict verdictOf(double estimate);

double mean(const std::vector<double>& values);

}  // namespace regauge

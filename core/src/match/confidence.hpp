// How likely each channel of an answer is right, and the verdict that follows. Calibrated on pairs of small models
// trained for it, with whole families held out (experiments/reference/README.md, experiments/reference/calibrate.py).
#pragma once

#include <cstdint>
#include <vector>

#include "match/refine.hpp"

namespace regauge {

// What the estimate looks at.
struct Findings {
    const Gauge& answer;
    const Margins& fused;    // of the answer, in the fused scores
    const Refined* refined;  // nullptr where the answer needed no refinement
    const Gauge& firstHalf;  // what each half of the rows answers on its own
    const Gauge& secondHalf;
    double advantage = 0;      // the largest of all blocks
    bool beyondDoubt = false;  // Block::sure: then a channel's own margin says how sure
};

// Probability that a target channel's partner and sign are right.
std::vector<double> channelProbabilities(const Findings& findings, Group group, unsigned threads);

// The same where nothing was whitened, of the rows' own scores: their posterior, unless all is beyond doubt. Of fewer
// than policy::fewestInNull channels no more than even.
std::vector<double> plainProbabilities(const Block& rows, const Gauge& gauge, const Margins& margins, Group group,
                                       unsigned threads);

// The same of plain correlation, from the halves alone: all rows are right more often than half of them. All 0 where
// the answer is not `credible`: halves may agree on what is reproducible and wrong.
std::vector<double> confidenceFromHalves(const Gauge& answer, const Gauge& firstHalf, const Gauge& secondHalf,
                                         bool credible);

// How far rows are so few that they say less of the channels than they seem to: 1 for policy::fewRows a channel and
// less, falling to 0 for twice as many.
double fewness(std::uint64_t rows, std::size_t d);

// 1 up to so many, falling to 0 at twice as many.
double belowTwice(double most, double value);

// policy.hpp has the limits.
Verdict verdictOf(double estimate, std::size_t d, std::uint64_t rows);

// Whether two gauges answer alike for a target channel.
bool sameAt(std::size_t i, const Gauge& a, const Gauge& b);

double mean(const std::vector<double>& values);

}  // namespace regauge

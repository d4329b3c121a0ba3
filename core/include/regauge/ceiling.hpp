// The paper's ceiling, executable: how many channels each matcher recovers when a given fraction of the signs is
// positive (paper section 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "regauge/progress.hpp"

namespace regauge {

struct CeilingOptions {
    static constexpr std::size_t widest = 16384, mostSteps = 1000;  // the ceiling is the same at smaller sizes

    std::size_t d = 128;
    std::size_t rows = 1024;
    double noise = 0.5;      // standard deviation of what the target adds; the channels themselves have 1
    std::size_t steps = 10;  // positive fractions 0, 1/steps, ..., 1
    std::uint64_t seed = 0;
    unsigned threads = 1;
    std::uint64_t memory = 0;  // bytes that a match may take; 0: nobody knows
};

// At one positive fraction: the share of channels with the right partner (permutation) or the right partner and sign
// (signed).
struct CeilingPoint {
    double positive = 0;
    double permutationOnly = 0;  // raw signed matching: at most `positive`, but for chance
    double signMarginalized = 0;
};

// Independent Gaussian channels, a planted random gauge with exactly that share of positive signs, and both matchers.
// The same numbers on every target. Throws Error: usage, tooLarge (more memory than there may be), cancelled.
std::vector<CeilingPoint> ceiling(const CeilingOptions& options, const Progress& progress = {});

}  // namespace regauge

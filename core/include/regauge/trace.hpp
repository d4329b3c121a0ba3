// Trace: the gauge from the first to the last of a series of checkpoints, through those between (paper section 6).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/match.hpp"
#include "regauge/progress.hpp"

namespace regauge {

// One pair of checkpoints that was matched, by their places in the series.
struct Hop {
    std::size_t from = 0, to = 0;
    Alignment alignment;
    // The cycle that this pair closes with the path: the share of channels on which its gauge agrees with the
    // composition of the path's hops between its two ends. None where it is a hop of the path itself, or an end is off
    // the path.
    std::optional<double> cycle;
};

struct Trace {
    Alignment alignment;            // from the first checkpoint to the last
    std::vector<std::size_t> path;  // the checkpoints that it goes through, first and last included
    std::vector<Hop> hops;          // the local gauges along the path
    std::size_t weakest = 0;        // the hop with the lowest estimate
    double direct = 0;              // estimated share of right channels of the direct match of the ends
    double hopByHop = 0;            // and of the composition through every checkpoint
    double cycleAgreement =
        1;  // of the trace with the direct match of the ends: share of channels on which both answer alike
    std::vector<Hop> tried;  // every pair that was matched
};

// Matches neighbours, the two ends, and pairs that skip over weak hops; composes along the surest path. Other paths
// that share no weak hop with it have a vote on every channel, by their confidence, and where they agree it is surer.
// Checkpoints are evidence paths, in order; they are opened a pair at a time. Memory O(d^2).
// Throws Error(usage) for fewer than two checkpoints or such as are out of step order, and as openEvidence and match
// do.
Trace trace(const Files& files, const std::vector<std::string>& checkpoints, const MatchOptions& options = {},
            const Progress& progress = {});

}  // namespace regauge

// Trace: the gauge from the first to the last of a series of checkpoints, through those between (paper section 6).
#pragma once

#include <cstddef>
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
};

struct Trace {
    Alignment alignment;             // from the first checkpoint to the last
    std::vector<std::size_t> path;   // the checkpoints that it goes through, first and last included
    std::vector<Hop> hops;           // the local gauges along the path
    std::size_t weakest = 0;         // the hop with the lowest estimate
    double direct = 0;               // estimated share of right channels of the direct match of the ends
    double hopByHop = 0;             // and of the composition through every checkpoint
    double cycleAgreement = 1;       // of the trace with the direct match: share of channels on which both answer alike
    std::vector<Hop> tried;          // every pair that was matched
};

// Matches neighbours, the two ends, and pairs that skip over a weak hop; composes along the surest path; where other paths are surer about single
// channels, lets them decide those. Checkpoints are evidence paths, in order; they are opened a pair at a time. Memory O(d^2).
// Throws Error(usage) for fewer than two checkpoints, and as openEvidence and match do.
Trace trace(const Files& files, const std::vector<std::string>& checkpoints, const MatchOptions& options = {}, const Progress& progress = {});

}  // namespace regauge

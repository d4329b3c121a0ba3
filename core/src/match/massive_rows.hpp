// What massive rows (BOS, attention sinks) say of the channels. They are no sample of anything, and one of them
// outweighs thousands of others, so they stay out of every correlation. But where both models have the same ones, a
// channel's level in them tells it from other channels and tells its sign.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "regauge/correlation.hpp"
#include "scores/block.hpp"

namespace regauge {

// A site's sums over its massive rows, channel by channel: in units of their median magnitude, on a scale that is
// linear near 0 and logarithmic far from it, because a few channels stand a thousand times above the others.
struct Levels {
    std::vector<double> source, target;
};

// Empty where no row of the site was massive, or most channels have nothing in them.
Levels massiveLevels(const CorrelationSums& sums);

struct MassiveAnswer {
    Gauge gauge = Gauge::identity(0);
    std::vector<double> probability;  // per target channel
};

// Adds what massive rows say to the scores (in spreads) that gave the answer, and solves again. That site is asked
// whose levels fit best where the answer is surest, and only if they fit there far better than any two channels would:
// not where the models have massive rows of their own, nor where even the surest channels are wrong. Nothing where no
// site's levels fit, or where they would give up surer channels than they win.
// rows: what the answer comes from, and ofRows: the answer's margins in it.
std::optional<MassiveAnswer> askMassiveRows(std::span<const Levels> sites, const Block& rows, const Margins& ofRows,
                                            ScoreMatrix scores, const Gauge& gauge,
                                            const std::vector<double>& probability, unsigned threads,
                                            const Progress& progress);

}  // namespace regauge

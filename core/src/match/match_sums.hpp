// Matching, with sums from anywhere: read here, by a team, or from statistics files.
#pragma once

#include <functional>
#include <string>

#include "regauge/correlation.hpp"
#include "regauge/match.hpp"

namespace regauge {

// Where matching gets the sums of a site from, when their turn comes: coarse ones first, and fine ones (with Gram
// matrices only) where they leave a doubt.
using SumsOf = std::function<CorrelationSums(const std::string& site, Resolution resolution)>;

// match() with sums from anywhere: of the sites of `source` and `target` nothing but names and `weights` is looked at.
Alignment matchSums(const Evidence& source, const Evidence& target, const MatchOptions& options, const SumsOf& sumsOf,
                    const Progress& progress);

}  // namespace regauge

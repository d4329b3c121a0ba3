// Reading a pair of sites into exact sums.
#pragma once

#include <string>
#include <vector>

#include "regauge/correlation.hpp"
#include "regauge/evidence.hpp"
#include "regauge/match.hpp"

namespace regauge {

// The site names that take part: those asked for, or all that both sides have. Throws Error(usage) where there are none, or one asked for is missing.
std::vector<std::string> commonSites(const Evidence& source, const Evidence& target, const std::vector<std::string>& asked);

// Checks that rows pair (count, d, token ids) and reads them in blocks. With Gram matrices the resolution is fine, else coarse.
// Throws Error: dimensionMismatch, rowsMismatch, tokensDiffer, notFinite, cancelled.
CorrelationSums sumSite(const Evidence& source, const Evidence& target, const std::string& site, const MatchOptions& options, bool withGram,
                 const Progress& progress);

}  // namespace regauge

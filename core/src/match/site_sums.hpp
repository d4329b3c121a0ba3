// Reading a pair of sites into exact sums, in two halves of the rows.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "regauge/correlation.hpp"
#include "regauge/evidence.hpp"
#include "regauge/match.hpp"

namespace regauge {

// The sums of one site. Blocks of rows alternate between the halves: what both halves say on their own is no accident of a few rows.
struct SiteSums {
    std::string name;
    std::array<CorrelationSums, 2> half;

    CorrelationSums total() const;
};

// The site names that take part: those asked for, or all that both sides have. Throws Error(usage) where there are none, or one asked for is missing.
std::vector<std::string> commonSites(const Evidence& source, const Evidence& target, const std::vector<std::string>& asked);

// Checks that rows pair (count, d, token ids) and reads them in blocks.
// Throws Error: dimensionMismatch, rowsMismatch, tokensDiffer, notFinite, cancelled.
SiteSums sumSite(const Evidence& source, const Evidence& target, const std::string& site, const MatchOptions& options, bool withGram,
                 const Progress& progress);

}  // namespace regauge

// Rows that are massive at no site, for comparing pairs of sites with one another.
#pragma once

#include "regauge/evidence.hpp"
#include "regauge/match.hpp"
#include "regauge/progress.hpp"

namespace regauge {

// Two evidences whose masks leave out each row that is massive at any site of either (BOS, attention sinks). A row that
// is massive at one depth often stays large at the next without being massive there, and would hold most of what such a
// pair of sites shares. Only sites of as many rows as most have take part, and masks stay as they are where less than
// half of the rows that options ask for would be left.
struct OrdinaryRows {
    Evidence source, target;

    // Throws Error: notFinite, cancelled, and what reading throws.
    OrdinaryRows(const Evidence& source, const Evidence& target, const MatchOptions& options, const Progress& progress);
};

}  // namespace regauge

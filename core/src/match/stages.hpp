// The stages of matching, from what the rows say to the final answer: each takes an estimate and gives a better one, or
// the same.
#pragma once

#include "match/clues.hpp"
#include "match/estimate.hpp"
#include "regauge/progress.hpp"

namespace regauge {

Estimate ofRows(const Clues& clues);
// Gains decide what the rows leave open.
Estimate withGains(const Clues& clues, Estimate estimate, const Progress& progress);
// Relations between channels confirm or move it (refine.hpp).
Estimate refined(const Clues& clues, Estimate estimate, const Progress& progress);
// Plain correlation's answer, where that is the better one (plain.hpp).
Estimate orPlain(const Clues& clues, Estimate estimate, const Progress& progress);
// An answer in doubt is judged by the pair's own rotation null too.
Estimate judgedByRotations(const Clues& clues, Estimate estimate, const Progress& progress);
// Gains that are sure say which channel is which; rows then only choose signs. Otherwise massive rows say what they
// know (massive_rows.hpp).
Estimate placed(const Clues& clues, Estimate estimate, const Progress& progress);
// A channel that the rows say nothing of (constant) has a place, perhaps by its gains, and no sign; channels that look
// alike share their confidence.
Estimate settled(const Clues& clues, Estimate estimate);

}  // namespace regauge

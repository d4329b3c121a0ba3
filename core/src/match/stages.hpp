// The stages of matching, from what the rows say to the final answer: each takes an estimate and gives a better one, or
// the same.
#pragma once

#include "match/clues.hpp"
#include "match/estimate.hpp"
#include "regauge/progress.hpp"

namespace regauge {

Estimate ofRows(const Clues& clues);
// Gains decide what rows leave open that are beyond doubt.
Estimate withGains(const Clues& clues, Estimate estimate, const Progress& progress);
// Relations between channels confirm or move it (refine.hpp).
Estimate refined(const Clues& clues, Estimate estimate, const Progress& progress);
// Plain correlation's answer, where that is the better one (plain.hpp).
Estimate orPlain(const Clues& clues, Estimate estimate, const Progress& progress);
// An answer in doubt is judged by what the pair's own scores say of it: a whitened one by its posterior
// (posterior.hpp), a plain one by the rotation null too.
Estimate judged(const Clues& clues, Estimate estimate, const Progress& progress);
// The one that expects more right channels; `one` where they expect as many.
Estimate choose(Estimate one, Estimate other);
// Or where gains and rows place the channels together.
Estimate orPlacedByGains(const Clues& clues, Estimate estimate, const Progress& progress);
// Massive rows say what they know (massive_rows.hpp) of an answer that rows gave.
Estimate withMassive(const Clues& clues, Estimate estimate, const Progress& progress);
// A channel that the rows say nothing of (constant) has a place, perhaps by its gains, and no sign; channels that look
// alike share their confidence.
Estimate settled(const Clues& clues, Estimate estimate);

}  // namespace regauge

// Plain correlation's answer beside the whitened one. Where noise is alike in all channels, as in few rows or after a
// light drift, whitening only makes it louder, and plain correlation is the better answer.
#pragma once

#include <optional>

#include "match/clues.hpp"
#include "match/estimate.hpp"

namespace regauge {

// Nothing where nobody asked for it, or where it is no better than the answer at hand: it must leave less of the target
// unexplained, and be believable.
std::optional<Estimate> betterPlain(const Clues& clues, const Estimate& atHand, const Progress& progress);

}  // namespace regauge

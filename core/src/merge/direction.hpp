// Whether a gauge file says that it goes the way in which it is used.
#pragma once

#include <string>

#include "regauge/alignment.hpp"

namespace regauge {

// The gauge must go from `from`'s coordinates to `to`'s. All shapes fit a gauge that goes the other way, so its source
// and target names are what can tell:
// throws Error(usage) where they fit better the other way round. Names that fit neither path say nothing.
void checkDirection(const Alignment& gauge, const std::string& from, const std::string& to);

}  // namespace regauge

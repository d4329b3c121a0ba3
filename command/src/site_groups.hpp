// Sites that are each sure of their gauge and do not agree on it: which agree with which.
#pragma once

#include <string>
#include <vector>

#include "regauge/match.hpp"

namespace regauge {

// The names of the sites that are sure, those of one gauge together, in their order; nothing where they all agree, or
// where the sites' own gauges are not known (an alignment that was read from a file).
std::vector<std::vector<std::string>> contradictingSites(const Alignment& alignment);

// The same as a sentence that says how to go on; empty where there is nothing to say.
std::string contradictionText(const Alignment& alignment);

}  // namespace regauge

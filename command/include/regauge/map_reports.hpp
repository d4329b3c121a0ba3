// What `map`, `show` and `inspect` say of maps: in words, and as one JSON object.
#pragma once

#include <string>

#include "regauge/map.hpp"

namespace regauge {

std::string mapsText(const MapSet& maps);
// The best map's figures, all pairs under "pairs", and R2 over source and target depth under "depths".
std::string mapsJson(const MapSet& maps);

}  // namespace regauge

// Which rung of the ladder is the answer.
#pragma once

#include <cstddef>
#include <vector>

#include "maps/ladder.hpp"
#include "regauge/map.hpp"

namespace regauge {

struct Choice {
    std::size_t rung = 0;          // of those that were given
    std::vector<MapRung> reports;  // of all of them
    bool helps = false;            // the best one explains more than the mean does, by more than the rows can tell
};

// The lowest of the rungs, lowest first, that is not worse than the best (docs/maps.md, "How it is judged").
// gaugeConfirmed: matching calls the gauge of all rows aligned.
Choice chooseRung(const std::vector<Rung>& rungs, const Ladder& ladder, bool gaugeConfirmed);

}  // namespace regauge

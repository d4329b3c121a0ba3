// A map, for seeds and for what is moved by one.
#pragma once

#include <cstddef>
#include <string>

#include "regauge/map.hpp"
#include "transport_objects.hpp"

namespace regauge::fuzz {

// From `from` to `to` channels, with everything that a map may hold.
inline Map someMap(std::size_t from, std::size_t to, const std::string& source, const std::string& target) {
    const auto values = [](std::size_t count) { return test::randomArray("", {count}, 1).values; };
    Map map;
    map.sourceSite = source, map.targetSite = target;
    map.sourceWidth = from, map.targetWidth = to;
    map.forward = values(to * from), map.forwardBias = values(to);
    map.backward = values(from * to), map.backwardBias = values(from);
    map.sourceDeviation.assign(from, 1), map.targetDeviation.assign(to, 2);
    map.channelR2.assign(to, 0.5);
    map.rows = 128, map.r2 = 0.5;
    map.rungs = {{MapFamily::identity, 0.25, 0.125, 0.0625}, {MapFamily::affine, 0.5, 0, 0}};
    return map;
}

}  // namespace regauge::fuzz

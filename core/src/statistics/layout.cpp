#include "statistics/layout.hpp"

#include <algorithm>

#include "pairing/memory.hpp"

namespace regauge {

std::string rowsText(const std::pair<std::uint64_t, std::uint64_t>& range, const std::string& site) {
    return "rows " + std::to_string(range.first) + " to " + std::to_string(range.second - 1) + " of site '" + site +
           "'";
}

std::string siteNames(const Statistics::Heading& heading) {
    std::string names;
    for (const Statistics::SiteHeading& site : heading.sites) names += (names.empty() ? "" : ", ") + site.name;
    return names.empty() ? "none" : names;
}

std::string purpose(const Statistics::Heading& heading) {
    return heading.forMaps() ? "a map to d = " + std::to_string(heading.mapWidth) : std::string("a gauge");
}

std::uint64_t mostRows(const Statistics::Heading& heading) {
    std::uint64_t most = 0;
    for (const Statistics::SiteHeading& site : heading.sites) most = std::max(most, site.rows);
    return most;
}

void requireMemoryFor(const Statistics::Heading& heading, MapWork work, std::uint64_t rows, std::uint64_t memory,
                      const std::string& where) {
    if (heading.forMaps()) return requireMapMemory(heading.d, heading.mapWidth, work, memory, where);
    requireMemory({.d = heading.d,
                   .rows = rows,
                   .withGram = heading.withGram,
                   .sites = work == MapWork::merge ? std::size_t{2} : 1,
                   .sumsOnly = true},
                  memory, where);
}

}  // namespace regauge

// What a statistics file holds of a site, in this order: of sums for maps the JointSums, then the correlation sums; for
// a gauge those of all rows, for maps those of each half; coarse ones first. And how messages name its parts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "maps/joint_sums.hpp"
#include "maps/pair_sums.hpp"
#include "regauge/statistics.hpp"

namespace regauge {

// The resolutions of the correlation sums; none where the widths differ, and no gauge can be.
inline std::span<const Resolution> resolutions(const Statistics::Heading& heading) {
    static constexpr std::array both{Resolution::coarse, Resolution::fine};
    const bool gauge = !heading.forMaps() || heading.mapWidth == heading.d;
    return std::span(both).first(!gauge ? 0 : heading.withGram ? 2 : 1);
}
inline std::size_t partsOf(const Statistics::Heading& heading) { return heading.forMaps() ? 2 : 1; }
inline std::size_t imagesOf(const Statistics::Heading& heading) {
    return (heading.forMaps() ? 1 : 0) + resolutions(heading).size() * partsOf(heading);
}
inline std::size_t imageOf(const Statistics::Heading& heading, Resolution resolution, std::size_t part = 0) {
    return (heading.forMaps() ? 1 : 0) + static_cast<std::size_t>(resolution) * partsOf(heading) + part;
}

// The sums that lie at a place: CorrelationSums, or of sums for maps the first ones, JointSums.
template <class Sums>
Sums readSums(const Statistics::Place& at) {
    return Sums::read(at.file, at.offset, at.where);
}

// "rows 4096 to 8191 of site 'rows'".
std::string rowsText(const std::pair<std::uint64_t, std::uint64_t>& range, const std::string& site);
// Of all sites.
std::string siteNames(const Statistics::Heading& heading);
// "a gauge", "a map to d = 64".
std::string purpose(const Statistics::Heading& heading);
// Throws Error(tooLarge) where summing (one site at a time) or merging (two sums) does not fit into `memory` bytes (0:
// nobody knows).
void requireMemoryFor(const Statistics::Heading& heading, MapWork work, std::uint64_t rows, std::uint64_t memory,
                      const std::string& where);
// The most of any site.
std::uint64_t mostRows(const Statistics::Heading& heading);

}  // namespace regauge

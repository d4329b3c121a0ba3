// Gauges and maps of the rows that went into a statistics file.
#include <algorithm>
#include <optional>

#include "base/shell_words.hpp"
#include "maps/pair_sums.hpp"
#include "match/match_sums.hpp"
#include "pairing/memory.hpp"
#include "pairing/site_sums.hpp"
#include "regauge/error.hpp"
#include "regauge/statistics.hpp"
#include "statistics/layout.hpp"

namespace regauge {
namespace {

using Heading = Statistics::Heading;
using SiteHeading = Statistics::SiteHeading;

// One name and hash for what may have been many files.
Alignment::Side sideOf(const std::vector<Statistics::Input>& inputs) {
    if (inputs.size() == 1) return inputs.front();
    return {inputs.front().name + " and " + std::to_string(inputs.size() - 1) + " more", ""};
}

// A side as match() looks at it: without rows to read.
Evidence withoutRows(const Heading& heading, const std::vector<Statistics::Input>& inputs,
                     const std::vector<Gains>& gains) {
    Evidence evidence;
    const Alignment::Side side = sideOf(inputs);
    evidence.name = side.name, evidence.sha256 = FileHash(side.sha256), evidence.d = heading.d, evidence.gains = gains;
    for (const SiteHeading& site : heading.sites) evidence.sites.push_back({site.name, nullptr, 0, site.weights});
    return evidence;
}

}  // namespace

Alignment match(const Statistics& statistics, const MatchOptions& options, const Progress& progress) {
    const Heading& heading = statistics.heading();
    if (heading.forMaps())
        throw Error(ErrorCode::usage, statistics.name(),
                    "its sums are for " + purpose(heading) + ": regauge map " + shellWord(statistics.name()) +
                        " -o map.safetensors; for a gauge sum the rows without --map");
    if (needsGram(options) != heading.withGram && !heading.sites.empty())
        throw Error(ErrorCode::usage, statistics.name(),
                    std::string("these statistics have ") + (heading.withGram ? "" : "no ") +
                        "Gram matrices, which --statistic correlation and --group permutation do " +
                        (heading.withGram ? "without, on coarser sums" : "without and everything else needs") +
                        "; give 'regauge stats' the same --statistic and --group");
    requireMemory(
        {.d = heading.d, .rows = mostRows(heading), .withGram = heading.withGram, .sites = heading.sites.size()},
        options.memory, statistics.name());
    const Evidence source = withoutRows(heading, heading.source, heading.sourceGains),
                   target = withoutRows(heading, heading.target, heading.targetGains);
    MatchOptions asked = options;
    asked.team = nullptr;
    if (asked.sites.empty() && heading.chosen)
        for (const SiteHeading& site : heading.sites) asked.sites.push_back(site.name);
    const auto sumsOf = [&](const std::string& name, Resolution resolution) {
        const auto site = static_cast<std::size_t>(std::ranges::find(heading.sites, name, &SiteHeading::name) -
                                                   heading.sites.begin());
        CorrelationSums sums = statistics.sums(site, resolution);
        progress.report("reading " + name, 1, 1);
        return sums;
    };
    return matchSums(source, target, asked, sumsOf, progress);
}

MapSet fitMaps(const Statistics& statistics, const MapOptions& options, const Progress& progress) {
    const Heading& heading = statistics.heading();
    if (!heading.forMaps())
        throw Error(ErrorCode::usage, statistics.name(),
                    "its sums are for a gauge: regauge align " + shellWord(statistics.name()) +
                        " -o gauge.json; for a map sum the rows with 'regauge stats --map'");
    requireFamilyFits(options.family, heading.d, sideOf(heading.source).name, heading.mapWidth,
                      sideOf(heading.target).name);
    const auto pairAt = [&](std::size_t site) {
        const auto [x, y] = sitesOfMap(heading.sites[site].name);
        return PairSums{
            x,
            y,
            heading.d,
            heading.mapWidth,
            statistics.name(),
            [&, site] { return readSums<JointSums>(statistics.place(site, 0)); },
            [&, site](Resolution resolution) {
                const auto half = [&](std::size_t part) {
                    return readSums<CorrelationSums>(statistics.place(site, imageOf(heading, resolution, part)));
                };
                return SumsOfHalves{half(0), half(1)};
            }};
    };
    MapSet result;
    if (options.sites.empty())
        for (std::size_t site = 0; site < heading.sites.size(); ++site)
            result.maps.push_back(fitPair(pairAt(site), options, progress));
    for (const SitesOfMap& wanted : options.sites) {
        const auto found = std::ranges::find(heading.sites, name(wanted), &SiteHeading::name);
        if (found == heading.sites.end())
            throw Error(ErrorCode::usage, statistics.name(),
                        "there is no pair of sites '" + name(wanted) + "'; its pairs: " + siteNames(heading));
        result.maps.push_back(
            fitPair(pairAt(static_cast<std::size_t>(found - heading.sites.begin())), options, progress));
    }
    result.source = sideOf(heading.source), result.target = sideOf(heading.target);
    return result;
}

}  // namespace regauge

// Summing rows into a statistics file.
#include <algorithm>
#include <optional>

#include "maps/pair_sums.hpp"
#include "pairing/site_sums.hpp"
#include "regauge/error.hpp"
#include "regauge/statistics.hpp"
#include "statistics/heading.hpp"
#include "statistics/layout.hpp"

namespace regauge {
namespace {

using Heading = Statistics::Heading;
using SiteHeading = Statistics::SiteHeading;

// The place in `like` of the site whose scale is to be taken.
std::size_t siteLike(const Statistics& like, const std::string& site, const Heading& wanted) {
    const Heading& heading = like.heading();
    const auto found = std::ranges::find(heading.sites, site, &SiteHeading::name);
    if (heading.mapWidth != wanted.mapWidth)
        throw Error(ErrorCode::usage, like.name(),
                    "its sums are for " + purpose(heading) + ", and these are for " + purpose(wanted) +
                        "; give both --map, or none of them");
    if (found == heading.sites.end())
        throw Error(ErrorCode::usage, like.name(),
                    "there is no site '" + site + "' to be like; its sites are " + siteNames(heading));
    if (heading.d != wanted.d)
        throw Error(ErrorCode::dimensionMismatch, like.name(),
                    "d = " + std::to_string(heading.d) + ", and these rows have d = " + std::to_string(wanted.d));
    if (heading.withGram != wanted.withGram)
        throw Error(ErrorCode::usage, like.name(),
                    std::string("has ") + (heading.withGram ? "" : "no ") +
                        "Gram matrices, unlike what is to be summed; give both the same --statistic and --group");
    return static_cast<std::size_t>(found - heading.sites.begin());
}

// The pairs of sites of maps, by name.
std::vector<std::string> mapSites(const Evidence& source, const Evidence& target,
                                  const std::vector<std::string>& asked) {
    std::vector<std::string> names;
    for (const std::string& text : asked) names.push_back(name(sitesOfMap(text)));
    if (!names.empty()) return names;
    const std::vector<SitesOfMap> pairs = pairsOfSites(source, target);
    if (pairs.size() != 1)
        throw Error(ErrorCode::usage, "--site",
                    "is missing: which target site a source site belongs to is known only when all rows are in one "
                    "place ('regauge map SOURCE TARGET' finds it); name pairs as SOURCE_SITE=TARGET_SITE");
    return {name(pairs.front())};
}

// Sums rows into a statistics file, site by site.
class Summer {
public:
    Summer(const Evidence& source, const Evidence& target, const StatisticsOptions& options, const Progress& progress)
        : source_(source), target_(target), options_(options), progress_(progress) {}

    Heading heading() const {
        Heading heading{.d = source_.d,
                        .withGram = options_.forMaps || needsGram(options_.match),
                        .chosen = !options_.match.sites.empty(),
                        .skipFirst = options_.match.skipFirst,
                        .source = {{source_.name, source_.sha256.hex()}},
                        .target = {{target_.name, target_.sha256.hex()}},
                        .sourceGains = options_.forMaps ? std::vector<Gains>() : source_.gains,
                        .targetGains = options_.forMaps ? std::vector<Gains>() : target_.gains,
                        .sites = {},
                        .mapWidth = options_.forMaps ? target_.d : 0};
        for (const std::string& name : options_.forMaps ? mapSites(source_, target_, options_.match.sites)
                                                        : commonSites(source_, target_, options_.match.sites))
            heading.sites.push_back(siteHeading(name));
        return heading;
    }

    // Says in `site` what was summed.
    void write(SiteHeading& site, const Heading& heading, ByteSink& out) const {
        const SitePair pair = open(site.name);
        if (heading.forMaps()) {
            FineStepsPair steps = options_.like == nullptr ? FineStepsPair::of(pair) : stepsLike(site, heading);
            const JointSums sums = options_.fitOnly
                                       ? JointSums(std::move(steps))
                                       : JointSums::of(pair, std::move(steps), options_.match.threads, progress_);
            sums.write(out);
            site.rows = sums.rows(), site.setAside = sums.setAside();
        }
        for (const Resolution resolution : resolutions(heading)) {
            const QuantizerPair quantizers = options_.like == nullptr ? pair.fit(resolution, options_.match.threads)
                                                                      : quantizersLike(site, resolution, heading);
            const auto none = [&] { return CorrelationSums(quantizers.x, quantizers.y, heading.withGram); };
            if (heading.forMaps()) {
                const SumsOfHalves halves = options_.fitOnly
                                                ? SumsOfHalves{none(), none()}
                                                : pair.sumHalves(quantizers, options_.match.threads, progress_);
                for (const CorrelationSums& half : halves) half.write(out);
            } else {
                const CorrelationSums sums =
                    options_.fitOnly ? none()
                                     : pair.sum(quantizers, heading.withGram, options_.match.threads, progress_);
                sums.write(out);
                site.rows = sums.rows(), site.setAside = sums.setAside();
            }
        }
    }

private:
    SitePair open(const std::string& site) const {
        const RowShare share{options_.firstRow, options_.part, options_.parts};
        if (!options_.forMaps) return {source_, target_, site, options_.match, share};
        const auto [x, y] = sitesOfMap(site);
        return {source_, target_, x, y, options_.match, share};
    }

    SiteHeading siteHeading(const std::string& name) const {
        const SitePair pair = open(name);
        const RowRange here = pair.here();
        if (pair.known().end > largestRowNumber || pair.known().end < options_.firstRow)
            throw Error(ErrorCode::usage, "--first-row",
                        "is " + std::to_string(options_.firstRow) + ", and rows are numbered to " +
                            std::to_string(largestRowNumber));
        SiteHeading site{.name = name,
                         .weights = !options_.forMaps && std::ranges::find(source_.sites, name, &Site::name)->weights,
                         .known = pair.known().end,
                         .covered = {}};
        if (!options_.fitOnly && here.begin < here.end) site.covered.emplace_back(here.begin, here.end);
        return site;
    }

    FineStepsPair stepsLike(const SiteHeading& site, const Heading& heading) const {
        const Statistics::Place at = options_.like->place(siteLike(*options_.like, site.name, heading), 0);
        return JointSums::readQuantizers(at.file, at.offset, at.where);
    }
    QuantizerPair quantizersLike(const SiteHeading& site, Resolution resolution, const Heading& heading) const {
        return options_.like->quantizers(siteLike(*options_.like, site.name, heading), resolution);
    }

    const Evidence &source_, &target_;
    const StatisticsOptions& options_;
    const Progress& progress_;
};

void requireGainsFit(const Evidence& source, const Evidence& target) {
    requireOneWidth(source, target);
    for (const Evidence* side : {&source, &target})
        for (const Gains& gains : side->gains)
            if (gains.values.size() != source.d)
                throw Error(ErrorCode::dimensionMismatch, side->name,
                            "gains '" + gains.name + "' have " + std::to_string(gains.values.size()) +
                                " channels, and the rows " + std::to_string(source.d));
}

}  // namespace

Statistics::Heading writeStatistics(const Evidence& source, const Evidence& target, const StatisticsOptions& options,
                                    ByteSink& out, const Progress& progress) {
    if (!options.forMaps) requireGainsFit(source, target);
    const Summer summer(source, target, options, progress);
    Heading heading = summer.heading();
    if (heading.sites.empty() && (source.gains.empty() || target.gains.empty()))
        throw Error(ErrorCode::usage, target.name, noCommonEvidence(source, target));
    std::uint64_t rows = 0;
    for (const SiteHeading& site : heading.sites)
        for (const auto& [begin, end] : site.covered) rows = std::max(rows, end - begin);
    if (!heading.sites.empty()) requireMemoryFor(heading, MapWork::sum, rows, options.match.memory, target.name);
    writeHeading(heading, out);
    for (SiteHeading& site : heading.sites) summer.write(site, heading, out);
    return heading;
}

}  // namespace regauge

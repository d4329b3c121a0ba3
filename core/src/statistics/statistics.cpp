// Writing, reading, adding up and matching statistics.
#include "regauge/statistics.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>

#include "kernels/panel.hpp"
#include "match/match_sums.hpp"
#include "pairing/memory.hpp"
#include "pairing/site_sums.hpp"
#include "regauge/error.hpp"
#include "statistics/heading.hpp"

namespace regauge {
namespace {

using Heading = Statistics::Heading;
using SiteHeading = Statistics::SiteHeading;
using Range = std::pair<std::uint64_t, std::uint64_t>;

// What of a site lies in the file, in this order.
std::span<const Resolution> resolutions(bool withGram) {
    static constexpr std::array both{Resolution::coarse, Resolution::fine};
    return std::span(both).first(withGram ? 2 : 1);
}

std::string rowsText(const Range& range, const std::string& site) {
    return "rows " + std::to_string(range.first) + " to " + std::to_string(range.second - 1) + " of site '" + site +
           "'";
}

// Sorted, touching ranges as one. Where two overlap, `clash` gets what they share.
std::vector<Range> unite(std::vector<Range> ranges, std::optional<Range>& clash) {
    std::ranges::sort(ranges);
    std::vector<Range> united;
    for (const Range& range : ranges) {
        if (!united.empty() && range.first < united.back().second)
            clash = Range{range.first, std::min(range.second, united.back().second)};
        if (!united.empty() && range.first <= united.back().second)
            united.back().second = std::max(united.back().second, range.second);
        else
            united.push_back(range);
    }
    return united;
}

void addInputs(std::vector<Statistics::Input>& inputs, const std::vector<Statistics::Input>& more) {
    inputs.insert(inputs.end(), more.begin(), more.end());
    const auto key = [](const Statistics::Input& input) { return std::tie(input.name, input.sha256); };
    std::ranges::sort(inputs, {}, key);
    // Not std::ranges::unique: Clang 14 cannot compile GCC 12's subrange.
    const auto same = [&](const Statistics::Input& a, const Statistics::Input& b) { return key(a) == key(b); };
    inputs.erase(std::unique(inputs.begin(), inputs.end(), same), inputs.end());
}

bool sameGains(const std::vector<Gains>& a, const std::vector<Gains>& b) {
    return std::ranges::equal(a, b,
                              [](const Gains& x, const Gains& y) { return x.name == y.name && x.values == y.values; });
}

// Gains may come with every part or with one of them.
void addGains(std::vector<Gains>& gains, const std::vector<Gains>& more, const std::string& file,
              const std::string& first) {
    if (gains.empty()) gains = more;
    if (!more.empty() && !sameGains(gains, more))
        throw Error(ErrorCode::usage, file,
                    "its gains are not those of " + first + "; merge parts of one pair of models only");
}

std::string siteNames(const Heading& heading) {
    std::string names;
    for (const SiteHeading& site : heading.sites) names += (names.empty() ? "" : ", ") + site.name;
    return names.empty() ? "none" : names;
}

void addHeading(Heading& into, const Statistics& part, const std::string& first) {
    const Heading& more = part.heading();
    const auto refuse = [&](const std::string& sentence) { throw Error(ErrorCode::usage, part.name(), sentence); };
    if (more.d != into.d)
        refuse("d = " + std::to_string(more.d) + ", and " + first + " has d = " + std::to_string(into.d) +
               "; merge parts of one pair of models only");
    if (!std::ranges::equal(more.sites, into.sites, {}, &SiteHeading::name, &SiteHeading::name))
        refuse("its sites are " + siteNames(more) + ", and those of " + first + " are " + siteNames(into) +
               "; give every 'regauge stats' the same --site");
    if (more.withGram != into.withGram)
        refuse(std::string("it has ") + (more.withGram ? "" : "no ") + "Gram matrices, unlike " + first +
               "; give every 'regauge stats' the same --statistic and --group");
    if (more.skipFirst != into.skipFirst)
        refuse("it leaves out the first " + std::to_string(more.skipFirst) + " rows of each sequence, and " + first +
               " the first " + std::to_string(into.skipFirst) + "; give every 'regauge stats' the same --skip-first");
    into.chosen = into.chosen || more.chosen;
    addInputs(into.source, more.source), addInputs(into.target, more.target);
    addGains(into.sourceGains, more.sourceGains, part.name(), first),
        addGains(into.targetGains, more.targetGains, part.name(), first);
    for (std::size_t k = 0; k < into.sites.size(); ++k) {
        SiteHeading& site = into.sites[k];
        site.known = std::max(site.known, more.sites[k].known);
        site.covered.insert(site.covered.end(), more.sites[k].covered.begin(), more.sites[k].covered.end());
        std::optional<Range> clash;
        site.covered = unite(std::move(site.covered), clash);
        if (clash)
            refuse(rowsText(*clash, site.name) +
                   " are in another of these files too; give every part once, and rows that lie in several files their "
                   "--first-row");
    }
}

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

std::uint64_t mostRows(const Heading& heading) {
    std::uint64_t most = 0;
    for (const SiteHeading& site : heading.sites) most = std::max(most, site.rows);
    return most;
}

QuantizerPair quantizersOf(const Statistics& like, const std::string& site, Resolution resolution,
                           const Heading& wanted) {
    const Heading& heading = like.heading();
    const auto found = std::ranges::find(heading.sites, site, &SiteHeading::name);
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
    return like.quantizers(static_cast<std::size_t>(found - heading.sites.begin()), resolution);
}

// Earlier files have coarse sums of eight bits.
bool fits(int limit, Resolution resolution) {
    return limit == limitOf(resolution) || (resolution == Resolution::coarse && limit == kernels::earlierCoarseLimit);
}

}  // namespace

Statistics::Statistics(std::shared_ptr<const ByteSource> file) : file_(std::move(file)) {
    auto [heading, at] = readHeading(*file_);
    heading_ = std::move(heading);
    for (SiteHeading& site : heading_.sites) {
        std::uint64_t covered = 0;
        for (const auto& [begin, end] : site.covered) covered += end - begin;
        for (const Resolution resolution : resolutions(heading_.withGram)) {
            const CorrelationSums::Image image = CorrelationSums::image(*file_, at, where(site));
            if (resolution == Resolution::coarse) site.rows = image.rows(), site.setAside = image.setAside;
            if (image.d != heading_.d || image.withGram != heading_.withGram || !fits(image.limit, resolution) ||
                image.rows() != site.rows || image.setAside != site.setAside || site.rows + site.setAside > covered)
                throw Error(ErrorCode::malformed, where(site),
                            "these sums do not fit the heading of the file; sum the rows again");
            offsets_.push_back(at);
            at += image.bytes;
        }
    }
    if (at != file_->size())
        throw Error(
            ErrorCode::malformed, name(),
            "expected " + std::to_string(at) + " bytes, found " + std::to_string(file_->size()) + "; copy it again");
}

std::string Statistics::where(const SiteHeading& site) const { return name() + ": " + site.name; }

std::uint64_t Statistics::offset(std::size_t site, Resolution resolution) const {
    const auto held = resolutions(heading_.withGram);
    const auto place = std::ranges::find(held, resolution) - held.begin();
    return offsets_.at(site * held.size() + static_cast<std::size_t>(place));
}

CorrelationSums Statistics::sums(std::size_t site, Resolution resolution) const {
    return CorrelationSums::read(*file_, offset(site, resolution), where(heading_.sites.at(site)));
}

QuantizerPair Statistics::quantizers(std::size_t site, Resolution resolution) const {
    return CorrelationSums::readQuantizers(*file_, offset(site, resolution), where(heading_.sites.at(site)));
}

std::string Statistics::missingRows(const Heading& heading) {
    for (const SiteHeading& site : heading.sites) {
        std::uint64_t next = 0;
        for (const auto& [begin, end] : site.covered) {
            if (begin > next) return rowsText({next, begin}, site.name);
            next = end;
        }
        if (next < site.known) return rowsText({next, site.known}, site.name);
    }
    return "";
}

Statistics::Heading writeStatistics(const Evidence& source, const Evidence& target, const StatisticsOptions& options,
                                    ByteSink& out, const Progress& progress) {
    requireOneWidth(source, target);
    for (const Evidence* side : {&source, &target})
        for (const Gains& gains : side->gains)
            if (gains.values.size() != source.d)
                throw Error(ErrorCode::dimensionMismatch, side->name,
                            "gains '" + gains.name + "' have " + std::to_string(gains.values.size()) +
                                " channels, and the rows " + std::to_string(source.d));
    const RowShare share{options.firstRow, options.part, options.parts};
    Heading heading{.d = source.d,
                    .withGram = needsGram(options.match),
                    .chosen = !options.match.sites.empty(),
                    .skipFirst = options.match.skipFirst,
                    .source = {{source.name, source.sha256.hex()}},
                    .target = {{target.name, target.sha256.hex()}},
                    .sourceGains = source.gains,
                    .targetGains = target.gains,
                    .sites = {}};
    for (const std::string& name : commonSites(source, target, options.match.sites)) {
        const SitePair pair(source, target, name, options.match, share);
        const RowRange here = pair.here();
        if (pair.known().end > largestRowNumber || pair.known().end < options.firstRow)
            throw Error(ErrorCode::usage, "--first-row",
                        "is " + std::to_string(options.firstRow) + ", and rows are numbered to " +
                            std::to_string(largestRowNumber));
        SiteHeading site{.name = name,
                         .weights = std::ranges::find(source.sites, name, &Site::name)->weights,
                         .known = pair.known().end,
                         .covered = {}};
        if (!options.fitOnly && here.begin < here.end) site.covered.emplace_back(here.begin, here.end);
        heading.sites.push_back(std::move(site));
    }
    if (heading.sites.empty() && (source.gains.empty() || target.gains.empty()))
        throw Error(ErrorCode::usage, target.name, noCommonEvidence(source, target));
    std::uint64_t rows = 0;
    for (const SiteHeading& site : heading.sites)
        for (const auto& [begin, end] : site.covered) rows = std::max(rows, end - begin);
    if (!heading.sites.empty())
        requireMemory({.d = heading.d, .rows = rows, .withGram = heading.withGram, .sites = 1, .sumsOnly = true},
                      options.match.memory, target.name);
    writeHeading(heading, out);

    for (SiteHeading& site : heading.sites) {
        const SitePair pair(source, target, site.name, options.match, share);
        for (const Resolution resolution : resolutions(heading.withGram)) {
            const QuantizerPair quantizers = options.like == nullptr
                                                 ? pair.fit(resolution, options.match.threads)
                                                 : quantizersOf(*options.like, site.name, resolution, heading);
            const CorrelationSums sums = options.fitOnly
                                             ? CorrelationSums(quantizers.x, quantizers.y, heading.withGram)
                                             : pair.sum(quantizers, heading.withGram, options.match.threads, progress);
            sums.write(out);
            site.rows = sums.rows(), site.setAside = sums.setAside();
        }
    }
    return heading;
}

Statistics::Heading mergeStatistics(std::span<const std::shared_ptr<const Statistics>> parts, ByteSink& out,
                                    const Progress& progress, std::uint64_t memory) {
    if (parts.empty()) throw Error(ErrorCode::usage, "", "there is nothing to merge; give statistics files");
    const Statistics& first = *parts.front();
    Heading heading = first.heading();
    for (const auto& part : parts.subspan(1)) addHeading(heading, *part, first.name());
    std::uint64_t rows = 0;
    for (const auto& part : parts) rows += mostRows(part->heading());
    requireMemory({.d = heading.d, .rows = rows, .withGram = heading.withGram, .sites = 2, .sumsOnly = true}, memory,
                  first.name());
    writeHeading(heading, out);
    const auto held = resolutions(heading.withGram);
    const std::uint64_t steps = heading.sites.size() * held.size() * parts.size();
    std::uint64_t step = 0;
    for (std::size_t site = 0; site < heading.sites.size(); ++site)
        for (const Resolution resolution : held) {
            std::optional<QuantizerPair> quantizers;
            std::optional<CorrelationSums> sums;
            for (const auto& part : parts) {
                std::optional<CorrelationSums> more;
                if (part->heading().sites[site].rows > 0)
                    more = part->sums(site, resolution);  // the rest is but quantizers
                QuantizerPair its = more ? more->quantizers() : part->quantizers(site, resolution);
                if (quantizers && its != *quantizers)
                    throw Error(ErrorCode::usage, part->name(),
                                "site '" + heading.sites[site].name + "' was quantized otherwise than in " +
                                    first.name() +
                                    ", because each took the scale of its own rows; run 'regauge stats SOURCE TARGET "
                                    "--fit -o fit.stats' once and give every "
                                    "'regauge stats' --like fit.stats");
                if (!quantizers) quantizers = std::move(its);
                if (more && sums)
                    sums->merge(*more);
                else if (more)
                    sums = std::move(more);
                progress.report("merging", ++step, steps);
            }
            if (!sums) sums.emplace(quantizers->x, quantizers->y, heading.withGram);
            sums->write(out);
            heading.sites[site].rows = sums->rows(), heading.sites[site].setAside = sums->setAside();
        }
    return heading;
}

Alignment match(const Statistics& statistics, const MatchOptions& options, const Progress& progress) {
    const Heading& heading = statistics.heading();
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

}  // namespace regauge

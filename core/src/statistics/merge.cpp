// Adding up the statistics of parts of the rows.
#include <algorithm>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "base/shell_words.hpp"
#include "maps/pair_sums.hpp"
#include "regauge/error.hpp"
#include "regauge/statistics.hpp"
#include "statistics/heading.hpp"
#include "statistics/layout.hpp"

namespace regauge {
namespace {

using Heading = Statistics::Heading;
using SiteHeading = Statistics::SiteHeading;
using Range = std::pair<std::uint64_t, std::uint64_t>;

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

void addHeading(Heading& into, const Statistics& part, const std::string& first) {
    const Heading& more = part.heading();
    const auto refuse = [&](const std::string& sentence) { throw Error(ErrorCode::usage, part.name(), sentence); };
    if (more.d != into.d)
        refuse("d = " + std::to_string(more.d) + ", and " + first + " has d = " + std::to_string(into.d) +
               "; merge parts of one pair of models only");
    if (more.mapWidth != into.mapWidth)
        refuse("its sums are for " + purpose(more) + ", and those of " + first + " for " + purpose(into) +
               "; merge parts of one pair of models and one purpose only");
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

CorrelationSums noSums(const QuantizerPair& quantizers, const Heading& heading) {
    return {quantizers.x, quantizers.y, heading.withGram};
}
JointSums noSums(const FineStepsPair& quantizers, const Heading&) { return JointSums(quantizers); }

// Adds up one image of a site over all parts.
template <class Sums>
Sums mergedImage(std::span<const std::shared_ptr<const Statistics>> parts, const Heading& heading, std::size_t site,
                 std::size_t image, const std::function<void()>& onPart) {
    std::optional<std::decay_t<decltype(std::declval<Sums>().quantizers())>> quantizers;
    std::optional<Sums> sums;
    for (const auto& part : parts) {
        const Statistics::Place at = part->place(site, image);
        std::optional<Sums> more;
        if (part->heading().sites[site].rows > 0) more = readSums<Sums>(at);  // the rest is but quantizers
        auto its = more ? more->quantizers() : Sums::readQuantizers(at.file, at.offset, at.where);
        if (quantizers && its != *quantizers)
            throw Error(
                ErrorCode::usage, part->name(),
                "site '" + heading.sites[site].name + "' was quantized otherwise than in " + parts.front()->name() +
                    ", because each took the scale of its own rows; run 'regauge stats SOURCE TARGET " +
                    (heading.forMaps() ? "--map --site " + shellWord(heading.sites[site].name) + " " : std::string()) +
                    "--fit -o fit.stats' once and give every "
                    "'regauge stats' --like fit.stats");
        if (!quantizers) quantizers = std::move(its);
        if (more && sums)
            sums->merge(*more);
        else if (more)
            sums = std::move(more);
        onPart();
    }
    return sums ? std::move(*sums) : noSums(*quantizers, heading);
}

}  // namespace

Statistics::Heading mergeStatistics(std::span<const std::shared_ptr<const Statistics>> parts, ByteSink& out,
                                    const Progress& progress, std::uint64_t memory) {
    if (parts.empty()) throw Error(ErrorCode::usage, "", "there is nothing to merge; give statistics files");
    const Statistics& first = *parts.front();
    Heading heading = first.heading();
    for (const auto& part : parts.subspan(1)) addHeading(heading, *part, first.name());
    std::uint64_t rows = 0;
    for (const auto& part : parts) rows += mostRows(part->heading());
    requireMemoryFor(heading, MapWork::merge, rows, memory, first.name());
    writeHeading(heading, out);
    const std::uint64_t steps = heading.sites.size() * imagesOf(heading) * parts.size();
    std::uint64_t step = 0;
    const auto onPart = [&] { progress.report("merging", ++step, steps); };
    for (std::size_t site = 0; site < heading.sites.size(); ++site) {
        SiteHeading& into = heading.sites[site];
        into.rows = into.setAside = 0;
        for (const auto& part : parts)
            into.rows += part->heading().sites[site].rows, into.setAside += part->heading().sites[site].setAside;
        for (std::size_t image = 0; image < imagesOf(heading); ++image)
            if (heading.forMaps() && image == 0)
                mergedImage<JointSums>(parts, heading, site, image, onPart).write(out);
            else
                mergedImage<CorrelationSums>(parts, heading, site, image, onPart).write(out);
    }
    return heading;
}

}  // namespace regauge

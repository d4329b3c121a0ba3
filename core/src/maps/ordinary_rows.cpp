#include "maps/ordinary_rows.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "correlation/float_rows.hpp"
#include "maps/joint_sums.hpp"
#include "pairing/team_sums.hpp"

namespace regauge {
namespace {

using Flags = std::vector<std::uint8_t>;  // one a row: 0 = leave it out

bool takesPart(const Site& site) { return !site.weights && !site.vocabulary; }

// What most of the sites have; the fewest of those that are as common.
std::uint64_t commonRows(const Evidence& source, const Evidence& target) {
    std::map<std::uint64_t, std::size_t> sitesWith;
    for (const Evidence* side : {&source, &target})
        for (const Site& site : side->sites)
            if (takesPart(site)) ++sitesWith[site.rows->rows()];
    const auto most = std::ranges::max_element(sitesWith, {}, [](const auto& entry) { return entry.second; });
    return most == sitesWith.end() ? 0 : most->first;
}

void clearMassive(const Evidence& evidence, const std::string& site, const MatchOptions& options,
                  const Progress& progress, Flags& flags) {
    const SitePair alone(evidence, evidence, site, site, options, shareOf(options.team));
    const FineSteps steps(alone.sample()[0], alone.whereX());
    std::vector<float> room(steps.d());
    alone.forBlocks(progress, [&](const PairedBlock& block, const Beside&) {
        for (std::size_t row = 0; row < block.side[0].rows; ++row)
            if (block.skip[row] == 0 && steps.isMassive(rowAsFloats(block.side[0], row, room)))
                flags[static_cast<std::size_t>(block.first) + row] = 0;
    });
}

// Leaves out, on all members, what one of them left out.
void leaveOutTogether(Team& team, const std::string& where, Flags& flags) {
    std::string rows = std::to_string(flags.size());
    requireAgreement(team, std::string(20 - rows.size(), '0') + rows, where, "rows");
    std::vector<std::int64_t> keptBy(flags.begin(), flags.end());
    team.sumAtFirst(keptBy);
    std::ranges::transform(keptBy, flags.begin(), [&](std::int64_t members) { return members == team.size() ? 1 : 0; });
    team.broadcast(std::as_writable_bytes(std::span(flags)), 0);
}

}  // namespace

OrdinaryRows::OrdinaryRows(const Evidence& sourceSide, const Evidence& targetSide, const MatchOptions& options,
                           const Progress& progress)
    : source(sourceSide), target(targetSide) {
    const std::uint64_t rows = commonRows(source, target);
    Flags flags(static_cast<std::size_t>(rows), 1);
    for (const Evidence* side : {&source, &target})
        if (side->mask)
            std::ranges::transform(flags, *side->mask, flags.begin(), [](auto a, auto b) { return a && b; });
    const auto left = [&] {
        return std::ranges::count(
            std::span(flags).first(static_cast<std::size_t>(std::min(rows, options.rows.value_or(rows)))), 1);
    };
    const auto before = left();
    const auto clear = [&] {
        for (const Evidence* side : {&source, &target})
            for (const Site& site : side->sites)
                if (takesPart(site) && site.rows->rows() == rows)
                    clearMassive(*side, site.name, options, progress, flags);
    };
    if (options.team == nullptr) {
        clear();
    } else {
        together(*options.team, clear);
        leaveOutTogether(*options.team, target.name, flags);
    }
    if (rows == 0 || 2 * left() < before) return;
    source.mask = target.mask = std::move(flags);
}

}  // namespace regauge

#include "regauge/match.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "match/clues.hpp"
#include "match/confidence.hpp"
#include "match/match_sums.hpp"
#include "match/policy.hpp"
#include "match/stages.hpp"
#include "pairing/memory.hpp"
#include "pairing/site_sums.hpp"
#include "pairing/team_calls.hpp"
#include "pairing/team_sums.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// Gains alone: which channel is which, at most. Signs stay undetermined.
Alignment matchGains(const Evidence& source, const Evidence& target, const MatchOptions& options,
                     const Progress& progress) {
    const GainMatch gains = matchGainVectors(source, target, options.threads, progress);
    if (gains.vectors == 0) throw Error(ErrorCode::usage, target.name, noCommonEvidence(source, target));
    Alignment alignment;
    alignment.sites.push_back(gainsReport(gains, 1));
    alignment.gauge = options.group == Group::permutation ? Gauge(gains.perm, std::vector<std::int8_t>(source.d, 1))
                                                          : alignment.sites[0].gauge;
    alignment.group = options.group;
    alignment.confidence = gains.confidence;
    alignment.agreement = gains.agreement;
    // Half of the vectors say far less than all of them, so half agreement may be low and the whole right; where there
    // is none, nothing confirms it.
    const double placed = mean(gains.confidence);
    const Verdict ofPlaces =
        gains.agreement < policy::unconfirmedGains ? Verdict::unrelated : verdictOf(placed, source.d, UINT64_MAX);
    alignment.estimate = placed;
    alignment.verdict = ofPlaces;
    if (options.group != Group::permutation) {  // a place without its sign is not a channel matched right
        alignment.estimate = 0;
        alignment.confidence.assign(source.d, 0.0);
        alignment.verdict = std::max(ofPlaces, Verdict::partial);
    }
    alignment.score = gains.confidence;  // distances of gains have no similarity of their own
    alignment.statistic = "gains";
    alignment.source = {source.name, source.sha256.hex()};
    alignment.target = {target.name, target.sha256.hex()};
    return alignment;
}

// Of those of the sites that have rows to read.
std::uint64_t mostRows(const Evidence& evidence, const std::vector<std::string>& sites) {
    std::uint64_t most = 0;
    const std::set<std::string_view> names(sites.begin(), sites.end());
    for (const Site& site : evidence.sites)
        if (site.rows && names.contains(site.name)) most = std::max(most, site.rows->rows());
    return most;
}

// The most of any site.
std::uint64_t mostRows(const std::vector<SiteReport>& sites) {
    std::uint64_t most = 0;
    for (const SiteReport& site : sites)
        if (site.statistic != "gains") most = std::max(most, site.rows);
    return most;
}

// The ridge that the whitening of the site that counts most is like; 0 where the answer is not whitened.
double ridgeOf(const Estimate& estimate, const std::vector<SiteReport>& sites) {
    if (estimate.statistic != "whitened") return 0;
    const auto heaviest = std::ranges::max_element(
        sites, {}, [](const SiteReport& site) { return site.statistic == "gains" ? -1 : site.weight; });
    return heaviest == sites.end() ? 0 : ridgeLike(heaviest->statistic);
}

// Every stage takes an estimate and gives a better one, or the same.
Estimate bestEstimate(const Clues& clues, const Progress& progress) {
    Estimate estimate = refined(clues, withGains(clues, ofRows(clues), progress), progress);
    estimate = judged(clues, orPlain(clues, std::move(estimate), progress), progress);
    return settled(clues, withMassive(clues, orPlacedByGains(clues, std::move(estimate), progress), progress));
}

Alignment alignmentOf(Estimate estimate, std::vector<SiteReport> sites, Group group) {
    Alignment alignment;
    for (std::size_t i = 0; i < estimate.gauge.d(); ++i) {
        const double matched = estimate.margins.matched[i], runnerUp = estimate.margins.runnerUp[i];
        alignment.score.push_back(std::clamp(matched * estimate.similarity, 0.0, 1.0));
        alignment.margin.push_back((matched - runnerUp) * estimate.similarity);
    }
    alignment.rows = mostRows(sites);
    alignment.lambda = ridgeOf(estimate, sites);
    alignment.sites = std::move(sites);
    alignment.group = group;
    alignment.statistic = estimate.statistic;
    alignment.agreement = estimate.agreement;
    alignment.estimate = mean(estimate.probability);  // a channel of which nothing is known is not right
    alignment.verdict = verdictOf(alignment.estimate, estimate.gauge.d(), alignment.rows);
    alignment.confidence = std::move(estimate.probability);
    alignment.gauge = std::move(estimate.gauge);
    return alignment;
}

CorrelationSums sumOverTeam(const Evidence& source, const Evidence& target, const std::string& site,
                            Resolution resolution, const MatchOptions& options, const Progress& progress) {
    std::optional<CorrelationSums> sums;
    sumTogether(
        *options.team, target.name, site,
        [&] {
            const SitePair pair(source, target, site, options, shareOf(options.team));
            const QuantizerPair quantizers = pair.fit(resolution, options.threads);
            sums = pair.sum(quantizers, needsGram(options), options.threads, progress);
            return agreedWord(pair, quantizers);
        },
        [&](const SumAtFirst& sumAtFirst) { sums->reduce(sumAtFirst); });
    return std::move(*sums);
}

}  // namespace

Alignment match(const Evidence& source, const Evidence& target, const MatchOptions& options, const Progress& progress) {
    if (options.team == nullptr)
        return matchSums(
            source, target, options,
            [&](const std::string& site, Resolution resolution) {
                return sumSite(source, target, site, options, resolution, progress);
            },
            progress);
    const TeamLead lead(*options.team);
    return matchSums(
        source, target, options,
        [&](const std::string& site, Resolution resolution) {
            lead.call({static_cast<std::uint32_t>(resolution), placeOf(source, site), 0});
            return sumOverTeam(source, target, site, resolution, options, progress);
        },
        progress);
}

void helpMatch(const Evidence& source, const Evidence& target, const MatchOptions& options) {
    followTeam(*options.team, [&](const TeamCall& call) {
        sumOverTeam(source, target, siteAt(source, call.source), static_cast<Resolution>(call.kind), options, {});
    });
}

Alignment matchSums(const Evidence& source, const Evidence& target, const MatchOptions& options, const SumsOf& sumsOf,
                    const Progress& progress) {
    requireOneWidth(source, target);
    const std::vector<std::string> sites = commonSites(source, target, options.sites);
    if (sites.empty()) return matchGains(source, target, options, progress);
    MemoryPlan plan{source.d, mostRows(source, sites), needsGram(options), sites.size()};
    requireMemory(plan, options.memory, target.name);
    std::vector<SiteReport> reports;
    const Clues clues = gatherClues(source, target, sites, options, sumsOf, reports, progress);
    if (!clues.rows->sure()) {
        plan.inDoubt = true;
        requireMemory(plan, options.memory, target.name);
    }
    Alignment alignment = alignmentOf(bestEstimate(clues, progress), std::move(reports), options.group);
    alignment.source = {source.name, source.sha256.hex()};
    alignment.target = {target.name, target.sha256.hex()};
    return alignment;
}

}  // namespace regauge

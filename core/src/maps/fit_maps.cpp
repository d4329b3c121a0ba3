// Maps from rows: read here or by a team, at the sites that were named or at the best places.
#include <algorithm>
#include <optional>

#include "base/sha256.hpp"
#include "maps/ladder.hpp"
#include "maps/ordinary_rows.hpp"
#include "maps/pair_sums.hpp"
#include "pairing/team_sums.hpp"
#include "regauge/error.hpp"
#include "regauge/map.hpp"

namespace regauge {
namespace {

const Site& siteOf(const Evidence& evidence, const std::string& name) {
    const auto found = std::ranges::find(evidence.sites, name, &Site::name);
    if (found == evidence.sites.end()) {
        std::string list;
        for (const Site& site : evidence.sites)
            if (!site.weights) list += (list.empty() ? "" : ", ") + site.name;
        throw Error(ErrorCode::usage, evidence.name,
                    "there is no site '" + name + "'; its sites: " + (list.empty() ? "none" : list));
    }
    return *found;
}

MatchOptions matchOptions(const MapOptions& options) {
    MatchOptions result;
    result.rows = options.rows;
    result.skipFirst = options.skipFirst;
    result.threads = options.threads;
    result.team = options.team;
    return result;
}

std::string agreedWord(const SitePair& pair, const FineStepsPair& steps) {
    Sha256 hash;
    const std::uint64_t rows = pair.known().end;
    hash.update(std::as_bytes(std::span(&rows, 1)));
    for (const FineSteps* side : {&steps.x, &steps.y}) {
        const double limit = side->rowLimit();
        hash.update(std::as_bytes(std::span(&limit, 1)));
        hash.update(std::as_bytes(std::span(side->centres())));
        hash.update(std::as_bytes(std::span(side->steps())));
    }
    return hash.hex();
}

enum class RowsOfMap { all, ordinary };

// The rows of two evidences, and their sums: of all rows here, or of this member's part of them, added up at the first
// member of the team.
class MapRows {
public:
    MapRows(const Evidence& source, const Evidence& target, const MapOptions& options, const Progress& progress)
        : source_(source), target_(target), options_(options), match_(matchOptions(options)), progress_(progress) {
        if (options.team != nullptr && options.team->rank() == 0) lead_.emplace(*options.team);
    }

    // Before RowsOfMap::ordinary is asked for.
    void findOrdinary() {
        call(Work::findOrdinary);
        ordinary_.emplace(source_, target_, match_, progress_);
    }

    PairSums pair(const SitesOfMap& sites, RowsOfMap rows) {
        const Site &x = siteOf(source_, sites.first), &y = siteOf(target_, sites.second);
        const auto work = [this, sites](Work what) {
            call(what, placeOf(source_, sites.first), placeOf(target_, sites.second));
        };
        return {sites.first,
                sites.second,
                x.rows->d(),
                y.rows->d(),
                target_.name,
                [=, this] {
                    work(rows == RowsOfMap::ordinary ? Work::ordinaryJoint : Work::joint);
                    return joint(sites, rows);
                },
                [=, this](Resolution resolution) {
                    work(resolution == Resolution::fine ? Work::fineHalves : Work::coarseHalves);
                    return halves(sites, resolution);
                }};
    }

    // What the other members do meanwhile.
    void follow() {
        followTeam(*options_.team, [&](const TeamCall& call) {
            const auto what = static_cast<Work>(call.kind);
            if (what == Work::findOrdinary) return findOrdinary();
            const SitesOfMap sites{siteAt(source_, call.source), siteAt(target_, call.target)};
            if (what == Work::ordinaryJoint || what == Work::joint)
                joint(sites, what == Work::joint ? RowsOfMap::all : RowsOfMap::ordinary);
            else
                halves(sites, what == Work::fineHalves ? Resolution::fine : Resolution::coarse);
        });
    }

private:
    enum class Work : std::uint32_t { findOrdinary, ordinaryJoint, joint, coarseHalves, fineHalves };
    void call(Work what, std::uint32_t source = 0, std::uint32_t target = 0) const {
        if (lead_) lead_->call({static_cast<std::uint32_t>(what), source, target});
    }

    // Sums this member's part of the rows, `sumShare`, which says what all must agree on; `reduce` adds up.
    void sum(const SitesOfMap& sites, RowsOfMap rows, const std::function<std::string(const SitePair&)>& sumShare,
             const std::function<void(const SumAtFirst&)>& reduce) const {
        const Evidence &x = rows == RowsOfMap::all ? source_ : ordinary_->source,
                       &y = rows == RowsOfMap::all ? target_ : ordinary_->target;
        const auto ofShare = [&] {
            return sumShare(SitePair(x, y, sites.first, sites.second, match_, shareOf(options_.team)));
        };
        if (options_.team == nullptr)
            ofShare();
        else
            sumTogether(*options_.team, target_.name, sites.second, ofShare, reduce);
    }
    JointSums joint(const SitesOfMap& sites, RowsOfMap rows) const {
        const Progress silent;  // of one of many pairs, which are told one by one
        std::optional<JointSums> sums;
        sum(
            sites, rows,
            [&](const SitePair& pair) {
                const FineStepsPair steps = FineStepsPair::of(pair);
                sums = JointSums::of(pair, steps, options_.threads, rows == RowsOfMap::ordinary ? silent : progress_);
                return agreedWord(pair, steps);
            },
            [&](const SumAtFirst& sumAtFirst) { sums->reduce(sumAtFirst); });
        return std::move(*sums);
    }
    SumsOfHalves halves(const SitesOfMap& sites, Resolution resolution) const {
        std::optional<SumsOfHalves> sums;
        sum(
            sites, RowsOfMap::all,
            [&](const SitePair& pair) {
                const QuantizerPair quantizers = pair.fit(resolution, options_.threads);
                sums = pair.sumHalves(quantizers, options_.threads, progress_);
                return agreedWord(pair, quantizers);
            },
            [&](const SumAtFirst& sumAtFirst) {
                for (CorrelationSums& half : *sums) half.reduce(sumAtFirst);
            });
        return std::move(*sums);
    }

    const Evidence &source_, &target_;
    const MapOptions& options_;
    MatchOptions match_;
    const Progress& progress_;
    std::optional<TeamLead> lead_;
    std::optional<OrdinaryRows> ordinary_;
};

MapDepth depthOf(const PairSums& pair, const MapOptions& options) {
    const Progress silent;
    std::uint64_t setAside = 0;
    const Sides sides = sidesOf(pair, options, setAside), back = sides.exchanged();
    const Residuals there = Ladder(sides, options.threads, silent).affine(options.ridge).held,
                    known = Ladder(back, options.threads, silent).affine(options.ridge).held;
    return {pair.sourceSite, pair.targetSite, there.r2(), known.meanChannelR2()};
}

// For each source site the target site that knows most of it. Not the one that it explains best: target sites differ in
// how easily they are explained, a few channels may hold most of their variance, and only shares of one and the same
// source site can be compared, on the same rows.
std::vector<SitesOfMap> bestPlaces(const Evidence& source, const Evidence& target, const MapOptions& options,
                                   MapRows& rows, std::vector<MapDepth>& depths, const Progress& progress) {
    const std::vector<SitesOfMap> candidates = pairsOfSites(source, target);
    if (candidates.empty()) throw Error(ErrorCode::usage, target.name, noCommonEvidence(source, target));
    if (candidates.size() == 1) return candidates;
    rows.findOrdinary();
    for (std::size_t k = 0; k < candidates.size(); ++k) {
        progress.report("all pairs of sites", k, candidates.size());
        depths.push_back(depthOf(rows.pair(candidates[k], RowsOfMap::ordinary), options));
    }
    std::vector<SitesOfMap> result;
    for (const Site& x : source.sites) {
        const MapDepth* best = nullptr;
        for (const MapDepth& depth : depths)
            if (depth.sourceSite == x.name && (best == nullptr || depth.r2Known > best->r2Known)) best = &depth;
        if (best != nullptr) result.emplace_back(best->sourceSite, best->targetSite);
    }
    return result;
}

}  // namespace

std::vector<SitesOfMap> pairsOfSites(const Evidence& source, const Evidence& target) {
    const auto pairByPosition = [](const Site& x, const Site& y) {
        return !x.weights && !y.weights && x.vocabulary == y.vocabulary &&
               (x.rows->rows() == y.rows->rows() || (x.vocabulary && y.vocabulary));
    };
    std::vector<SitesOfMap> pairs;
    for (const Site& x : source.sites)
        for (const Site& y : target.sites)
            if (pairByPosition(x, y)) pairs.emplace_back(x.name, y.name);
    return pairs;
}

void requireFamilyFits(std::optional<MapFamily> family, std::size_t sourceWidth, const std::string& source,
                       std::size_t targetWidth, const std::string& target) {
    if (!family || sourceWidth == targetWidth || *family > MapFamily::gauge) return;
    throw Error(ErrorCode::usage, target,
                "d = " + std::to_string(targetWidth) + ", and " + source + " has d = " + std::to_string(sourceWidth) +
                    "; " + std::string(name(*family)) +
                    " maps need one width: take --family orthogonal, affine or auto");
}

MapSet fitMaps(const Evidence& source, const Evidence& target, const MapOptions& options, const Progress& progress) {
    requireFamilyFits(options.family, source.d, source.name, target.d, target.name);
    MapRows rows(source, target, options, progress);
    MapSet result;
    const std::vector<SitesOfMap> sites =
        options.sites.empty() ? bestPlaces(source, target, options, rows, result.depths, progress) : options.sites;
    for (const SitesOfMap& pair : sites)
        result.maps.push_back(fitPair(rows.pair(pair, RowsOfMap::all), options, progress));
    result.source = {source.name, source.sha256.hex()};
    result.target = {target.name, target.sha256.hex()};
    return result;
}

void helpMaps(const Evidence& source, const Evidence& target, const MapOptions& options) {
    const Progress silent;
    MapRows(source, target, options, silent).follow();
}

}  // namespace regauge

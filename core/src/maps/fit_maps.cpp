// The ladder: every rung fitted on one half of the rows and judged on the other, the lowest that is not worse chosen,
// and fitted again on all rows.
#include <algorithm>
#include <array>
#include <cmath>

#include "maps/choose_rung.hpp"
#include "maps/fitted.hpp"
#include "maps/joint_sums.hpp"
#include "maps/ladder.hpp"
#include "maps/ordinary_rows.hpp"
#include "maps/polar.hpp"
#include "pairing/site_sums.hpp"
#include "regauge/error.hpp"
#include "regauge/map.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t rowsTogether = 32;  // that stay in one half (joint_sums.hpp)

double trace(const std::vector<double>& a, std::size_t d) {
    double sum = 0;
    for (std::size_t j = 0; j < d; ++j) sum += a[j * d + j];
    return sum;
}

// One site of each side, under one name, and without the rows of half 1 - k where `half` is k: what match() takes.
Evidence onlySite(const Evidence& evidence, const std::string& site, std::uint64_t rows,
                  std::optional<std::size_t> half) {
    Evidence result = evidence;
    std::erase_if(result.sites, [&](const Site& one) { return one.name != site; });
    result.gains.clear();
    result.sites.front().name = "rows";
    result.sites.front().weights = false;
    if (!half) return result;
    const bool masked = result.mask && result.mask->size() == rows;
    std::vector<std::uint8_t> mask =
        masked ? *result.mask : std::vector<std::uint8_t>(static_cast<std::size_t>(rows), 1);
    for (std::size_t row = 0; row < mask.size(); ++row)
        if (row / rowsTogether % 2 != *half) mask[row] = 0;
    result.mask = std::move(mask);
    return result;
}

struct PairOfSites {
    const Evidence &source, &target;
    std::string siteX, siteY;
    std::uint64_t rows = 0;  // that both sides have
};

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

PairOfSites pairOf(const Evidence& source, const Evidence& target, const std::string& siteX, const std::string& siteY) {
    return {source, target, siteX, siteY,
            std::min(siteOf(source, siteX).rows->rows(), siteOf(target, siteY).rows->rows())};
}

MatchOptions matchOptions(const MapOptions& options) {
    MatchOptions result;
    result.rows = options.rows;
    result.skipFirst = options.skipFirst;
    result.threads = options.threads;
    return result;
}

// Refuses what cannot fit before anything is allocated.
void requireMemory(std::uint64_t dx, std::uint64_t dy, const MapOptions& options, const std::string& where) {
    const std::uint64_t d = dx + dy, entry = sizeof(double);
    const std::uint64_t sums = 2 * (2 * d) * (2 * d) / 2 * sizeof(std::int64_t);  // both halves, lower tiles
    const std::uint64_t moments = 3 * (dx * dx + dx * dy + dy * dy) * entry;      // halves and all
    const std::uint64_t solving =
        (4 * 4 * dx * dy + 2 * std::max(dx * dx, dy * dy)) * entry;  // four rungs with images, an inverse
    const std::uint64_t needed = moments + std::max(sums, moments + solving);
    if (options.memory == 0 || needed <= options.memory) return;
    const auto gigabytes = [](std::uint64_t bytes) { return std::to_string((bytes >> 30) + 1) + " GiB"; };
    throw Error(ErrorCode::tooLarge, where,
                "a map from d = " + std::to_string(dx) + " to d = " + std::to_string(dy) + " needs about " +
                    gigabytes(needed) + " of memory, and less than " + gigabytes(options.memory) +
                    " is free here; use a machine with more memory");
}

Sides sumPair(const PairOfSites& pair, const MapOptions& options, const Progress& progress, std::uint64_t& setAside) {
    requireMemory(siteOf(pair.source, pair.siteX).rows->d(), siteOf(pair.target, pair.siteY).rows->d(), options,
                  pair.target.name);
    const SitePair rows(pair.source, pair.target, pair.siteX, pair.siteY, matchOptions(options));
    const JointSums sums = JointSums::of(rows, options.threads, progress);
    if (sums.rows() < leastMapRows)
        throw Error(ErrorCode::rowsMismatch, pair.target.name,
                    std::to_string(sums.rows()) + " paired rows are left of " + pair.siteX + " and " + pair.siteY +
                        ", and a map needs at least " + std::to_string(leastMapRows) +
                        ", half of them to judge what the other half says; sample more tokens");
    setAside = sums.setAside();
    return {{sums.moments(0, options.threads), sums.moments(1, options.threads)}, sums.moments(options.threads)};
}

// The gauges of each half and of all rows, and whether matching calls the latter aligned.
struct Gauges {
    std::array<Gauge, 2> half;
    Gauge all;
    bool aligned;
};

// Nothing where even all rows say that there is none, unless it is wanted all the same.
std::optional<Gauges> gaugesOf(const PairOfSites& pair, const MapOptions& options, bool even,
                               const Progress& progress) {
    const auto gauge = [&](std::optional<std::size_t> half) {
        return match(onlySite(pair.source, pair.siteX, pair.rows, half),
                     onlySite(pair.target, pair.siteY, pair.rows, half), matchOptions(options), progress);
    };
    const Alignment all = gauge(std::nullopt);
    if (all.verdict == Verdict::unrelated && !even) return std::nullopt;
    return Gauges{{gauge(0).gauge, gauge(1).gauge}, all.gauge, all.verdict == Verdict::aligned};
}

std::vector<float> rounded(const std::vector<double>& values) { return {values.begin(), values.end()}; }

std::vector<float> deviations(const std::vector<double>& squares, std::size_t d, std::uint64_t rows) {
    std::vector<float> result(d);
    for (std::size_t j = 0; j < d; ++j)
        result[j] = static_cast<float>(std::sqrt(squares[j * d + j] / static_cast<double>(rows)));
    return result;
}

// tr(N M Sxx) / tr(Sxx) on each half, with what the other half gave.
double roundTrip(const Rung& there, const Rung& back, const Sides& sides) {
    double brought = 0, total = 0;
    for (std::size_t k = 0; k < 2; ++k) {
        const std::size_t dx = sides.all.dx(), dy = sides.all.dy();
        for (std::size_t j = 0; j < dx; ++j)
            for (std::size_t i = 0; i < dy; ++i) brought += back.half[k].m[j * dy + i] * there.image[k][i * dx + j];
        total += trace(sides.half[1 - k].xx, dx);
    }
    return total > 0 ? brought / total : 0;
}

// What the rows explain of the target when given the target itself, by an affine map with the least penalty.
double ceilingOf(const Sides& sides, unsigned threads, const Progress& progress) {
    // Twice as many rows as directions leave no direction out.
    if (std::min(sides.half[0].rows, sides.half[1].rows) >= 2 * sides.all.dy()) return 1;
    const auto own = [](const Moments& m) { return Moments{m.rows, m.meanY, m.meanY, m.yy, m.yy, m.yy}; };
    const Sides ofTarget{{own(sides.half[0]), own(sides.half[1])}, own(sides.all)};
    const auto fit = [&](std::size_t k) {
        const Moments& half = ofTarget.half[k];
        return fitAffine(half, penaltyOf(half, std::ldexp(1.0, 2 * smallestPower)), threads, progress);
    };
    return Ladder(ofTarget, threads, progress).rung(MapFamily::affine, fit).held.r2();
}

// Before any rows are read.
void requireFamilyFits(const Evidence& source, const Evidence& target, std::optional<MapFamily> family) {
    if (!family || source.d == target.d || *family > MapFamily::gauge) return;
    throw Error(ErrorCode::usage, target.name,
                "d = " + std::to_string(target.d) + ", and " + source.name + " has d = " + std::to_string(source.d) +
                    "; " + std::string(name(*family)) +
                    " maps need one width: take --family orthogonal, affine or auto");
}

// One pair of sites on its way from sums to a map.
class PairFit {
public:
    PairFit(const PairOfSites& pair, const MapOptions& options, const Progress& progress)
        : pair_(pair),
          options_(options),
          progress_(progress),
          sides_(sumPair(pair, options, progress, map_.setAside)),
          ladder_(sides_, options.threads, progress) {}

    Map run() {
        fitRungs();
        const Choice choice = chooseRung(rungs_, ladder_, gauges_ && gauges_->aligned);
        map_.rungs = choice.reports;
        map_.helps = choice.helps;
        describe(rungs_[choice.rung]);
        fitAll(rungs_[choice.rung]);
        return std::move(map_);
    }

private:
    void fitRungs() {
        const auto wanted = [&](MapFamily family) { return !options_.family || options_.family == family; };
        const bool oneWidth = sides_.all.dx() == sides_.all.dy();
        const auto add = [&](MapFamily family, auto&& fit) { rungs_.push_back(ladder_.rung(family, fit)); };
        if (wanted(MapFamily::identity) && oneWidth)
            add(MapFamily::identity, [&](std::size_t k) { return fitGauge(identity(), sides_.half[k]); });
        if (wanted(MapFamily::gauge) && oneWidth)
            gauges_ = gaugesOf(pair_, options_, options_.family == MapFamily::gauge, progress_);
        if (gauges_) add(MapFamily::gauge, [&](std::size_t k) { return fitGauge(gauges_->half[k], sides_.half[k]); });
        if (wanted(MapFamily::orthogonal))
            add(MapFamily::orthogonal,
                [&](std::size_t k) { return fitOrthogonal(sides_.half[k], options_.threads, progress_); });
        if (wanted(MapFamily::affine)) rungs_.push_back(ladder_.affine(options_.ridge));
    }

    // What the map says of itself.
    void describe(const Rung& chosen) {
        map_.sourceSite = pair_.siteX, map_.targetSite = pair_.siteY;
        map_.family = chosen.family;
        map_.sourceWidth = sides_.all.dx(), map_.targetWidth = sides_.all.dy();
        map_.rows = sides_.all.rows;
        map_.r2 = chosen.held.r2();
        map_.channelR2 = chosen.held.channelR2();
        map_.sourceDeviation = deviations(sides_.all.xx, map_.sourceWidth, map_.rows);
        map_.targetDeviation = deviations(sides_.all.yy, map_.targetWidth, map_.rows);
        map_.ceiling = ceilingOf(sides_, options_.threads, progress_);
    }

    // The map of all rows, and the way back.
    void fitAll(const Rung& chosen) {
        const Sides back = sides_.exchanged();
        const Ladder ladderBack(back, options_.threads, progress_);
        Rung rungBack;
        Fitted forward, backward;
        if (map_.family == MapFamily::affine) {
            map_.ridge = chosen.ridge;
            forward = fitAffine(sides_.all, map_.ridge, options_.threads, progress_);
            rungBack = ladderBack.affine(options_.ridge);
            map_.ridgeBack = rungBack.ridge;
            backward = fitAffine(back.all, map_.ridgeBack, options_.threads, progress_);
        } else {
            forward = map_.family == MapFamily::orthogonal
                          ? fitOrthogonal(sides_.all, options_.threads, progress_)
                          : fitGauge(map_.family == MapFamily::gauge ? gauges_->all : identity(), sides_.all);
            backward = turned(forward, back.all);  // the polar factor of the transpose, too
            rungBack =
                ladderBack.rung(map_.family, [&](std::size_t k) { return turned(chosen.half[k], back.half[k]); });
        }
        map_.r2Back = rungBack.held.r2();
        map_.roundTrip = roundTrip(chosen, rungBack, sides_);
        map_.forward = rounded(forward.m), map_.forwardBias = rounded(forward.b);
        map_.backward = rounded(backward.m), map_.backwardBias = rounded(backward.b);
    }

    Gauge identity() const { return Gauge::identity(sides_.all.dx()); }
    Fitted turned(const Fitted& there, const Moments& back) const {
        return withMeans(transposed(there.m, sides_.all.dy(), sides_.all.dx()), back);
    }

    const PairOfSites& pair_;
    const MapOptions& options_;
    const Progress& progress_;
    Map map_;
    Sides sides_;
    Ladder ladder_;
    std::vector<Rung> rungs_;
    std::optional<Gauges> gauges_;
};

// Whether rows of the two sites pair by position.
bool pairs(const Site& x, const Site& y) {
    return !x.weights && !y.weights && (x.vocabulary == y.vocabulary) &&
           (x.rows->rows() == y.rows->rows() || (x.vocabulary && y.vocabulary));
}

MapDepth depthOf(const PairOfSites& pair, const MapOptions& options) {
    const Progress silent;
    std::uint64_t setAside = 0;
    const Sides sides = sumPair(pair, options, silent, setAside), back = sides.exchanged();
    const Residuals there = Ladder(sides, options.threads, silent).affine(options.ridge).held,
                    known = Ladder(back, options.threads, silent).affine(options.ridge).held;
    return {pair.siteX, pair.siteY, there.r2(), known.meanChannelR2()};
}

// For each source site the target site that knows most of it. Not the one that it explains best: target sites differ in
// how easily they are explained, a few channels may hold most of their variance, and only shares of one and the same
// source site can be compared, on the same rows.
std::vector<std::pair<std::string, std::string>> bestPlaces(const Evidence& source, const Evidence& target,
                                                            const MapOptions& options, std::vector<MapDepth>& depths,
                                                            const Progress& progress) {
    std::vector<std::pair<std::string, std::string>> candidates;
    for (const Site& x : source.sites)
        for (const Site& y : target.sites)
            if (pairs(x, y)) candidates.emplace_back(x.name, y.name);
    if (candidates.empty()) throw Error(ErrorCode::usage, target.name, noCommonEvidence(source, target));
    if (candidates.size() == 1) return candidates;
    const OrdinaryRows ordinary(source, target, matchOptions(options), progress);
    for (std::size_t k = 0; k < candidates.size(); ++k) {
        progress.report("all pairs of sites", k, candidates.size());
        depths.push_back(
            depthOf(pairOf(ordinary.source, ordinary.target, candidates[k].first, candidates[k].second), options));
    }
    std::vector<std::pair<std::string, std::string>> result;
    for (const Site& x : source.sites) {
        const MapDepth* best = nullptr;
        for (const MapDepth& depth : depths)
            if (depth.sourceSite == x.name && (best == nullptr || depth.r2Known > best->r2Known)) best = &depth;
        if (best != nullptr) result.emplace_back(best->sourceSite, best->targetSite);
    }
    return result;
}

}  // namespace

MapSet fitMaps(const Evidence& source, const Evidence& target, const MapOptions& options, const Progress& progress) {
    requireFamilyFits(source, target, options.family);
    MapSet result;
    const auto sites =
        options.sites.empty() ? bestPlaces(source, target, options, result.depths, progress) : options.sites;
    for (const auto& [x, y] : sites) {
        const PairOfSites pair = pairOf(source, target, x, y);
        result.maps.push_back(PairFit(pair, options, progress).run());
    }
    result.source = {source.name, source.sha256.hex()};
    result.target = {target.name, target.sha256.hex()};
    return result;
}

}  // namespace regauge

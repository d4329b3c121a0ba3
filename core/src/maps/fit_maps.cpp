// The ladder: every rung fitted on one half of the rows and judged on the other, the lowest that is not worse chosen,
// and fitted again on all rows.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>

#include "base/sha256.hpp"
#include "maps/fitted.hpp"
#include "maps/joint_sums.hpp"
#include "maps/polar.hpp"
#include "numeric/linalg.hpp"
#include "pairing/site_sums.hpp"
#include "regauge/error.hpp"
#include "regauge/map.hpp"

namespace regauge {
namespace {

// A lower rung stands where it is behind by no more than so many standard errors of the difference, or by so much of
// the target's variance, or of what the best rung leaves unexplained: noise on the source's side makes a shrunken
// affine map a little better than the rotation that is the truth (docs/maps.md).
constexpr double standardErrors = 2, leastGain = 0.005, leastShareOfRest = 0.05;

// Penalties that are tried: the mean variance of the source's channels times the rows, times a power of 4.
constexpr int largestPower = 6, smallestPower = -12, coarseStep = 3;
// So many of the target's channels at most, at even distances, choose among them.
constexpr std::size_t judges = 128;

constexpr std::uint64_t leastRows = 64;  // two halves of blocks of 32, without which nothing can be held out

constexpr std::uint64_t rowsTogether = 32;  // that stay in one half (joint_sums.hpp)

double trace(const std::vector<double>& a, std::size_t d) {
    double sum = 0;
    for (std::size_t j = 0; j < d; ++j) sum += a[j * d + j];
    return sum;
}

// The moments of the halves and of all rows.
struct Sides {
    std::array<Moments, 2> half;
    Moments all;
    Sides exchanged() const {
        return {{regauge::exchanged(half[0]), regauge::exchanged(half[1])}, regauge::exchanged(all)};
    }
};

// What a rung gives: fitted to each half, and to all rows.
struct Rung {
    MapFamily family;
    std::array<Fitted, 2> half;
    std::array<std::vector<double>, 2> image;  // of each half's map, by the other half's moments (imageOf)
    Residuals held;                            // of each half's map on the other half
    double ridge = 0;
};

class Ladder {
public:
    Ladder(const Sides& sides, unsigned threads, const Progress& progress)
        : sides_(sides), threads_(threads), progress_(progress) {}

    template <class Fit>
    Rung rung(MapFamily family, Fit&& fit) const {
        Rung result{family, {fit(0), fit(1)}, {}, {}, 0};
        judge(result);
        return result;
    }

    void judge(Rung& rung) const {
        for (std::size_t k = 0; k < 2; ++k) {
            const Moments& rows = sides_.half[1 - k];
            rung.image[k] = imageOf(rung.half[k], rows, threads_);
            rung.held.add(residuals(rung.half[k], rows, rung.image[k]));
        }
    }

    // Of the moments, for a penalty in units of the mean variance times rows.
    static double penalty(const Moments& moments, double relative) {
        const double mean = trace(moments.xx, moments.dx()) / static_cast<double>(moments.dx());
        return relative * (mean > 0 ? mean : 1);
    }

    // The power of 4 with the least held-out error: from the middle down or up in coarse steps, then in single ones.
    int chosenPower() const {
        std::vector<std::size_t> targets(std::min(judges, sides_.all.dy()));
        for (std::size_t k = 0; k < targets.size(); ++k) targets[k] = k * sides_.all.dy() / targets.size();
        std::map<int, double> known;
        const auto errorAt = [&](int power) {
            const auto found = known.find(power);
            if (found != known.end()) return found->second;
            double sum = 0;
            for (std::size_t k = 0; k < 2; ++k) {
                const Moments& fit = sides_.half[k];
                const Fitted fitted = fitAffine(fit, penalty(fit, std::ldexp(1.0, 2 * power)), threads_, targets);
                const Moments& rows = sides_.half[1 - k];
                for (const double error : residuals(fitted, rows, imageOf(fitted, rows, threads_), targets).errors)
                    sum += error;
            }
            return known[power] = sum;
        };
        int best = (largestPower + smallestPower) / 2;
        for (const int step : {coarseStep, 1})
            for (const int direction : {-step, step})
                while (best + direction >= smallestPower && best + direction <= largestPower &&
                       errorAt(best + direction) < errorAt(best))
                    best += direction;
        return best;
    }

    // ridge: of all rows; nothing: from the data.
    Rung affine(std::optional<double> ridge) const {
        const int power = ridge ? 0 : chosenPower();
        const auto ofRows = [&](const Moments& moments) {
            if (!ridge) return penalty(moments, std::ldexp(1.0, 2 * power));
            return *ridge * static_cast<double>(moments.rows) / static_cast<double>(sides_.all.rows);
        };
        Rung result = rung(MapFamily::affine, [&](std::size_t k) {
            return fitAffine(sides_.half[k], ofRows(sides_.half[k]), threads_, progress_);
        });
        result.ridge = ofRows(sides_.all);
        return result;
    }

    // Standard error of the difference of two rungs' summed squared errors, if a row's errors are normal; the channels'
    // errors may go together, so their standard errors are added.
    double standardError(const Rung& a, const Rung& b) const {
        if (&a == &b) return 0;
        std::vector<double> apart(sides_.all.dy(), 0.0);
        for (std::size_t k = 0; k < 2; ++k) {
            const std::vector<double> more =
                difference(a.half[k], a.image[k], b.half[k], b.image[k], sides_.half[1 - k]);
            std::ranges::transform(apart, more, apart.begin(), std::plus{});
        }
        double sum = 0;
        for (std::size_t i = 0; i < apart.size(); ++i) {  // e_a^2 - e_b^2 = u v, u = e_a - e_b, v = e_a + e_b
            const double uu = apart[i], uv = a.held.errors[i] - b.held.errors[i];
            const double vv = std::max(0.0, 2 * (a.held.errors[i] + b.held.errors[i]) - uu);
            sum += std::sqrt(uu * vv + uv * uv);
        }
        return sum / std::sqrt(static_cast<double>(a.held.rows));
    }

private:
    const Sides& sides_;
    unsigned threads_;
    const Progress& progress_;
};

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
    if (sums.rows() < leastRows)
        throw Error(ErrorCode::rowsMismatch, pair.target.name,
                    std::to_string(sums.rows()) + " paired rows are left of " + pair.siteX + " and " + pair.siteY +
                        ", and a map needs at least " + std::to_string(leastRows) +
                        ", half of them to judge what the other half says; sample more tokens");
    setAside = sums.setAside();
    return {{sums.moments(0, options.threads), sums.moments(1, options.threads)}, sums.moments(options.threads)};
}

// Gauges of all rows and of each half, or nothing where even all rows say that there is none.
std::optional<std::array<Gauge, 3>> gaugesOf(const PairOfSites& pair, const MapOptions& options, bool even,
                                             const Progress& progress) {
    const auto gauge = [&](std::optional<std::size_t> half) {
        return match(onlySite(pair.source, pair.siteX, pair.rows, half),
                     onlySite(pair.target, pair.siteY, pair.rows, half), matchOptions(options), progress);
    };
    const Alignment all = gauge(std::nullopt);
    if (all.verdict == Verdict::unrelated && !even) return std::nullopt;
    return std::array{gauge(0).gauge, gauge(1).gauge, all.gauge};
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
    const Ladder ladder(ofTarget, threads, progress);
    return ladder
        .rung(MapFamily::affine,
              [&](std::size_t k) {
                  const Moments& half = ofTarget.half[k];
                  return fitAffine(half, Ladder::penalty(half, std::ldexp(1.0, 2 * smallestPower)), threads, progress);
              })
        .held.r2();
}

Map fitPair(const PairOfSites& pair, const MapOptions& options, const Progress& progress) {
    Map map;
    map.sourceSite = pair.siteX, map.targetSite = pair.siteY;
    const Sides sides = sumPair(pair, options, progress, map.setAside);
    const unsigned threads = options.threads;
    const std::size_t dx = sides.all.dx(), dy = sides.all.dy();
    const bool oneWidth = dx == dy;
    if (!oneWidth && (options.family == MapFamily::identity || options.family == MapFamily::gauge))
        throw Error(ErrorCode::usage, pair.target.name,
                    "d = " + std::to_string(dy) + ", and " + pair.source.name + " has d = " + std::to_string(dx) +
                        "; " + std::string(name(*options.family)) +
                        " maps need one width: take --family orthogonal, affine or auto");
    const auto wanted = [&](MapFamily family) { return !options.family || options.family == family; };

    const Ladder ladder(sides, threads, progress);
    std::vector<Rung> rungs;
    std::optional<std::array<Gauge, 3>> gauges;
    if (wanted(MapFamily::identity) && oneWidth)
        rungs.push_back(ladder.rung(MapFamily::identity,
                                    [&](std::size_t k) { return fitGauge(Gauge::identity(dx), sides.half[k]); }));
    if (wanted(MapFamily::gauge) && oneWidth)
        gauges = gaugesOf(pair, options, options.family == MapFamily::gauge, progress);
    if (gauges)
        rungs.push_back(
            ladder.rung(MapFamily::gauge, [&](std::size_t k) { return fitGauge((*gauges)[k], sides.half[k]); }));
    if (wanted(MapFamily::orthogonal))
        rungs.push_back(ladder.rung(MapFamily::orthogonal,
                                    [&](std::size_t k) { return fitOrthogonal(sides.half[k], threads, progress); }));
    if (wanted(MapFamily::affine)) rungs.push_back(ladder.affine(options.ridge));

    // The lowest that is not worse than the best.
    const Rung mean = ladder.rung(MapFamily::identity, [&](std::size_t k) { return fitMean(sides.half[k]); });
    const auto errorOf = [](const Rung& rung) {
        return std::accumulate(rung.held.errors.begin(), rung.held.errors.end(), 0.0);
    };
    const double total = std::accumulate(mean.held.total.begin(), mean.held.total.end(), 0.0);
    const auto share = [&](double squares) { return total > 0 ? squares / total : 0; };
    const Rung& best = *std::ranges::min_element(rungs, {}, errorOf);
    const double floor = std::max(leastGain, leastShareOfRest * (1 - best.held.r2()));
    const Rung* chosen = nullptr;
    for (const Rung& rung : rungs) {
        MapRung& report = map.rungs.emplace_back();
        report.family = rung.family;
        report.r2 = rung.held.r2();
        report.behind = share(errorOf(rung) - errorOf(best));
        report.doubt = standardErrors * share(ladder.standardError(rung, best));
        if (chosen == nullptr && report.behind <= std::max(report.doubt, floor)) chosen = &rung;
        // Both are exact or not at all: channels that changed places are no shrinkage.
        if (rung.family == MapFamily::gauge && chosen != nullptr && chosen->family == MapFamily::identity) {
            const double gain = share(errorOf(*chosen) - errorOf(rung));
            if (gain > standardErrors * share(ladder.standardError(*chosen, rung))) chosen = &rung;
        }
    }
    const double gain = share(errorOf(mean) - errorOf(best));
    map.helps = gain > std::max(floor, standardErrors * share(ladder.standardError(mean, best)));

    map.family = chosen->family;
    map.sourceWidth = dx, map.targetWidth = dy;
    map.rows = sides.all.rows;
    map.r2 = chosen->held.r2();
    map.channelR2 = chosen->held.channelR2();
    map.sourceDeviation = deviations(sides.all.xx, dx, map.rows);
    map.targetDeviation = deviations(sides.all.yy, dy, map.rows);
    map.ceiling = ceilingOf(sides, threads, progress);

    const Sides back = sides.exchanged();
    const Ladder ladderBack(back, threads, progress);
    Fitted forward, backward;
    Rung rungBack{map.family, {}, {}, {}, 0};
    if (map.family == MapFamily::affine) {
        map.ridge = chosen->ridge;
        forward = fitAffine(sides.all, map.ridge, threads, progress);
        rungBack = ladderBack.affine(options.ridge);
        map.ridgeBack = rungBack.ridge;
        backward = fitAffine(back.all, map.ridgeBack, threads, progress);
    } else {
        forward = map.family == MapFamily::orthogonal
                      ? fitOrthogonal(sides.all, threads, progress)
                      : fitGauge(map.family == MapFamily::gauge ? (*gauges)[2] : Gauge::identity(dx), sides.all);
        backward = withMeans(transposed(forward.m, dy, dx), back.all);  // the polar factor of the transpose, too
        for (std::size_t k = 0; k < 2; ++k)
            rungBack.half[k] = withMeans(transposed(chosen->half[k].m, dy, dx), back.half[k]);
        ladderBack.judge(rungBack);
    }
    map.r2Back = rungBack.held.r2();
    map.roundTrip = roundTrip(*chosen, rungBack, sides);
    map.forward = rounded(forward.m), map.forwardBias = rounded(forward.b);
    map.backward = rounded(backward.m), map.backwardBias = rounded(backward.b);
    return map;
}

// Whether rows of the two sites pair by position.
bool pairs(const Site& x, const Site& y) {
    return !x.weights && !y.weights && (x.vocabulary == y.vocabulary) &&
           (x.rows->rows() == y.rows->rows() || (x.vocabulary && y.vocabulary));
}

// For each source site the target site that an affine map explains best.
std::vector<std::pair<std::string, std::string>> bestPlaces(const Evidence& source, const Evidence& target,
                                                            const MapOptions& options, std::vector<MapDepth>& depths,
                                                            const Progress& progress) {
    std::vector<std::pair<std::string, std::string>> candidates;
    for (const Site& x : source.sites)
        for (const Site& y : target.sites)
            if (pairs(x, y)) candidates.emplace_back(x.name, y.name);
    if (candidates.empty()) throw Error(ErrorCode::usage, target.name, noCommonEvidence(source, target));
    if (candidates.size() == 1) return candidates;
    const Progress silent;
    for (std::size_t k = 0; k < candidates.size(); ++k) {
        progress.report("all pairs of sites", k, candidates.size());
        const auto& [x, y] = candidates[k];
        std::uint64_t setAside = 0;
        const Sides sides = sumPair(pairOf(source, target, x, y), options, silent, setAside);
        const Ladder ladder(sides, options.threads, silent);
        depths.push_back({x, y, ladder.affine(options.ridge).held.r2()});
    }
    std::vector<std::pair<std::string, std::string>> result;
    for (const Site& x : source.sites) {
        const MapDepth* best = nullptr;
        for (const MapDepth& depth : depths)
            if (depth.sourceSite == x.name && (best == nullptr || depth.r2 > best->r2)) best = &depth;
        if (best != nullptr) result.emplace_back(best->sourceSite, best->targetSite);
    }
    return result;
}

}  // namespace

MapSet fitMaps(const Evidence& source, const Evidence& target, const MapOptions& options, const Progress& progress) {
    MapSet result;
    const auto sites =
        options.sites.empty() ? bestPlaces(source, target, options, result.depths, progress) : options.sites;
    for (const auto& [x, y] : sites) result.maps.push_back(fitPair(pairOf(source, target, x, y), options, progress));
    result.source = {source.name, source.sha256.hex()};
    result.target = {target.name, target.sha256.hex()};
    return result;
}

}  // namespace regauge

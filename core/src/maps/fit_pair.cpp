// One pair of sites, from sums to a map: every rung fitted on one half of the rows and judged on the other, the lowest
// that is not worse chosen, and fitted again on all rows.
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "maps/choose_rung.hpp"
#include "maps/fitted.hpp"
#include "maps/ladder.hpp"
#include "maps/pair_sums.hpp"
#include "maps/polar.hpp"
#include "match/match_sums.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

double trace(const std::vector<double>& a, std::size_t d) {
    double sum = 0;
    for (std::size_t j = 0; j < d; ++j) sum += a[j * d + j];
    return sum;
}

// The gauges of each half and of all rows, and whether matching calls the latter aligned.
struct Gauges {
    std::array<Gauge, 2> half;
    Gauge all;
    bool aligned;
};

// Matches the sums of both halves together, and of each alone.
class GaugeFit {
public:
    GaugeFit(const PairSums& pair, const MapOptions& options, const Progress& progress)
        : pair_(pair), threads_(options.threads), progress_(progress) {}

    // Nothing where even all rows say that there is no gauge, unless it is wanted all the same.
    std::optional<Gauges> run(bool even) {
        const Alignment all = matched(std::nullopt);
        if (all.verdict == Verdict::unrelated && !even) return std::nullopt;
        return Gauges{{matched(0).gauge, matched(1).gauge}, all.gauge, all.verdict == Verdict::aligned};
    }

private:
    Alignment matched(std::optional<std::size_t> half) {
        MatchOptions options;
        options.threads = threads_;
        Evidence side;  // matching sums looks at no rows
        side.name = pair_.where, side.d = pair_.sourceWidth, side.sites = {{"rows", nullptr, 0, false}};
        return matchSums(
            side, side, options,
            [&](const std::string&, Resolution resolution) {
                const SumsOfHalves& sums = halves(resolution);
                if (half) return sums[*half];
                CorrelationSums all = sums[0];
                all.merge(sums[1]);
                return all;
            },
            progress_);
    }

    const SumsOfHalves& halves(Resolution resolution) {
        std::optional<SumsOfHalves>& known = known_[static_cast<std::size_t>(resolution)];
        if (!known) known = pair_.halves(resolution);
        return *known;
    }

    const PairSums& pair_;
    unsigned threads_;
    const Progress& progress_;
    std::array<std::optional<SumsOfHalves>, 2> known_;
};

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

// One pair of sites on its way from sums to a map.
class PairFit {
public:
    PairFit(const PairSums& pair, const MapOptions& options, const Progress& progress)
        : pair_(pair),
          options_(options),
          progress_(progress),
          sides_(sidesOf(pair, options, map_.setAside)),
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
            gauges_ = GaugeFit(pair_, options_, progress_).run(options_.family == MapFamily::gauge);
        if (gauges_) add(MapFamily::gauge, [&](std::size_t k) { return fitGauge(gauges_->half[k], sides_.half[k]); });
        if (wanted(MapFamily::orthogonal))
            add(MapFamily::orthogonal,
                [&](std::size_t k) { return fitOrthogonal(sides_.half[k], options_.threads, progress_); });
        if (wanted(MapFamily::affine)) rungs_.push_back(ladder_.affine(options_.ridge));
    }

    // What the map says of itself.
    void describe(const Rung& chosen) {
        map_.sourceSite = pair_.sourceSite, map_.targetSite = pair_.targetSite;
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

    const PairSums& pair_;
    const MapOptions& options_;
    const Progress& progress_;
    Map map_;
    Sides sides_;
    Ladder ladder_;
    std::vector<Rung> rungs_;
    std::optional<Gauges> gauges_;
};

}  // namespace

void requireMapMemory(std::uint64_t dx, std::uint64_t dy, MapWork work, std::uint64_t memory,
                      const std::string& where) {
    const std::uint64_t entry = sizeof(double), sums = JointSums::bytesOf(dx, dy);
    const std::uint64_t moments = 3 * (dx * dx + dx * dy + dy * dy) * entry;  // halves and all
    const std::uint64_t solving =
        (4 * 4 * dx * dy + 2 * std::max(dx * dx, dy * dy)) * entry;  // four rungs with images, an inverse
    const std::uint64_t needed =
        work == MapWork::fit ? moments + std::max(sums, moments + solving) : (work == MapWork::merge ? 2 : 1) * sums;
    if (memory == 0 || needed <= memory) return;
    const auto gigabytes = [](std::uint64_t bytes) { return std::to_string((bytes >> 30) + 1) + " GiB"; };
    throw Error(ErrorCode::tooLarge, where,
                "a map from d = " + std::to_string(dx) + " to d = " + std::to_string(dy) + " needs about " +
                    gigabytes(needed) + " of memory, and less than " + gigabytes(memory) +
                    " is free here; use a machine with more memory");
}

Sides sidesOf(const PairSums& pair, const MapOptions& options, std::uint64_t& setAside) {
    requireMapMemory(pair.sourceWidth, pair.targetWidth, MapWork::fit, options.memory, pair.where);
    const JointSums sums = pair.joint();
    if (sums.rows() < leastMapRows)
        throw Error(ErrorCode::rowsMismatch, pair.where,
                    std::to_string(sums.rows()) + " paired rows are left of " + pair.sourceSite + " and " +
                        pair.targetSite + ", and a map needs at least " + std::to_string(leastMapRows) +
                        ", half of them to judge what the other half says; sample more tokens");
    setAside = sums.setAside();
    return {{sums.moments(0, options.threads), sums.moments(1, options.threads)}, sums.moments(options.threads)};
}

Map fitPair(const PairSums& pair, const MapOptions& options, const Progress& progress) {
    return PairFit(pair, options, progress).run();
}

}  // namespace regauge

#include "match/massive_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>

#include "match/confidence.hpp"
#include "match/normal.hpp"
#include "match/policy.hpp"
#include "scores/row_tasks.hpp"

namespace regauge {
namespace {

constexpr double log2e = 1.4426950408889634;

// The upper median.
double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// log2(u) for u >= 1, by straight lines between powers of two: the same bits everywhere.
double roughLog2(double u) {
    int exponent = 0;
    const double fraction = std::frexp(u, &exponent);
    return exponent - 1 + (2 * fraction - 1);
}

double square(double x) { return x * x; }

std::vector<double> levelsOf(const std::vector<std::int64_t>& sums) {
    std::vector<double> levels(sums.begin(), sums.end()), sizes;
    for (const double level : levels) sizes.push_back(std::fabs(level));
    const double unit = sizes.empty() ? 0 : median(std::move(sizes));
    if (unit == 0) return {};
    for (double& level : levels) level = std::copysign(roughLog2(1 + std::fabs(level) / unit), level);
    return levels;
}

// How far target levels lie from those of their source channels: medians of squared distances, of the matches and of
// all pairs.
struct Fit {
    const Levels* levels = nullptr;
    double ofMatches = 0, ofAll = 0;
};

Fit fitOf(const Levels& levels, const Gauge& gauge, std::span<const std::size_t> asked) {
    std::vector<double> ofMatches, ofAll, ofOne(gauge.d());
    for (const std::size_t i : asked) {
        for (std::size_t j = 0; j < gauge.d(); ++j)
            ofOne[j] = square(levels.target[i] - gauge.sign()[i] * levels.source[j]);
        ofMatches.push_back(ofOne[gauge.perm()[i]]);
        ofAll.push_back(median(ofOne));
    }
    Fit fit{&levels, median(std::move(ofMatches)), median(std::move(ofAll))};
    fit.ofMatches = std::max(fit.ofMatches, policy::sameLevel * fit.ofAll);
    return fit;
}

// The channels of the largest probability: a quarter of them, and all that are as sure or more likely right than wrong.
std::vector<std::size_t> surest(const std::vector<double>& probability) {
    const std::size_t count =
        std::min(probability.size(), std::max(probability.size() / policy::askedShare, policy::fewestAsked));
    std::vector<double> sorted = probability;
    std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(count - 1), std::greater{});
    std::vector<std::size_t> channels;
    for (std::size_t i = 0; i < probability.size(); ++i)
        if (probability[i] >= std::min(policy::likelyRight, sorted[count - 1])) channels.push_back(i);
    return channels;
}

// The variance of a score by the choice of rows, in squared spreads: that of the difference of the halves. Far below 1
// where what all channels share, and not chance, makes the scores of unmatched pairs.
double sampling(const Block& rows, unsigned threads) {
    const auto variance = [&](const ScoreMatrix& half) {
        return square(spread(half, rows.answer.gauge, threads) / rows.unit);
    };
    return std::max(2 * (variance(rows.halves[0]) + variance(rows.halves[1])) - 1, 0.0);  // their sum has variance 1
}

// The site whose levels fit best where the answer is surest, if they fit far better than any two channels would.
std::optional<Fit> bestFit(std::span<const Levels> sites, const Gauge& gauge, const std::vector<double>& probability) {
    const std::vector<std::size_t> asked = surest(probability);
    Fit best{nullptr, policy::farBetter * mean(probability), 1};
    for (const Levels& levels : sites) {
        if (levels.source.empty()) continue;
        const Fit fit = fitOf(levels, gauge, asked);
        if (fit.ofMatches * best.ofAll < best.ofMatches * fit.ofAll) best = fit;
    }
    return best.levels == nullptr ? std::nullopt : std::optional(best);
}

// Log likelihood ratio of a match and of any pair, both normal; a level too far from its source channel's to be a match
// is an outlier and says nothing.
class Likelihood {
public:
    explicit Likelihood(const Fit& fit)
        : levels_(*fit.levels),
          most_(roughLog2(fit.ofAll / fit.ofMatches) / (2 * log2e)),
          twoVariances_(2 * fit.ofMatches / medianOfSquare) {}

    double ratio(std::size_t i, std::size_t j, int sign) const {
        return std::max(0.0, most_ - square(levels_.target[i] - sign * levels_.source[j]) / twoVariances_);
    }

    // Of an answer's channels, whose probability was that of `before`.
    std::vector<double> updated(const Gauge& gauge, const Gauge& before, const std::vector<double>& probability) const {
        std::vector<double> result = probability;
        for (std::size_t i = 0; i < result.size(); ++i) {
            double& p = result[i];
            const double prior = sameAt(i, before, gauge) ? p : p * (1 - p);  // a place that rows alone did not choose
            const double likely = prior * std::exp(ratio(i, gauge.perm()[i], gauge.sign()[i]));
            p = likely / (likely + 1 - prior);
        }
        return result;
    }

private:
    const Levels& levels_;
    double most_, twoVariances_;
};

}  // namespace

Levels massiveLevels(const CorrelationSums& sums) {
    Levels levels{levelsOf(sums.massiveX()), levelsOf(sums.massiveY())};
    if (levels.source.empty() || levels.target.empty()) return {};
    return levels;
}

std::optional<MassiveAnswer> askMassiveRows(std::span<const Levels> sites, const Block& rows, const Margins& ofRows,
                                            ScoreMatrix scores, const Gauge& gauge,
                                            const std::vector<double>& probability, unsigned threads,
                                            const Progress& progress) {
    const double typical = median(ofRows.matched);
    if (typical <= 0) return std::nullopt;
    const std::optional<Fit> fit = bestFit(sites, gauge, probability);
    if (!fit) return std::nullopt;
    const Likelihood likelihood(*fit);
    // The ratio of a score s in rows is s m / variance and a constant, with m the score of a match: so much score is
    // worth 1.
    const double worth = sampling(rows, threads) / (policy::inDoubt * typical);
    forRowTasks(scores.d, threads, [&](std::size_t, std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i)
            for (std::size_t j = 0; j < scores.d; ++j) {
                float& score = scores.value[i * scores.d + j];
                const auto positive = static_cast<float>(score + worth * likelihood.ratio(i, j, 1)),
                           negative = static_cast<float>(score - worth * likelihood.ratio(i, j, -1));
                score = positive >= -negative ? positive : negative;
            }
    });
    MassiveAnswer found;
    found.gauge = solve(scores, Group::signedPermutation, threads, progress).gauge;
    found.probability = likelihood.updated(found.gauge, gauge, probability);
    const bool givesUpMore =
        mean(found.probability) + policy::slack < mean(likelihood.updated(gauge, gauge, probability));
    if (givesUpMore) return std::nullopt;
    return found;
}

}  // namespace regauge

#include "match/massive_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>

#include "match/confidence.hpp"
#include "scores/row_tasks.hpp"

namespace regauge {
namespace {

constexpr double farBetter =
    1.0 /
    8;  // than chance, in squared distances, times the estimate: the less rows are believed, the better a fit must be
constexpr double same = 1.0 / (1 << 20);  // of chance: levels that differ by less are the same
constexpr std::size_t fewestAsked = 16;   // channels; otherwise the surest quarter
constexpr double inDoubt = 0.5;  // what a channel in doubt scores where it is matched right, in medians of all channels
constexpr double slack =
    0.03;  // of the channels, that a new answer may seem to lose: what rows say of channels in doubt is too high
constexpr double medianOfSquare = 0.4549;  // of a standard normal number
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
    fit.ofMatches = std::max(fit.ofMatches, same * fit.ofAll);
    return fit;
}

// The channels of the largest probability: a quarter of them, and all that are as sure or more likely right than wrong.
std::vector<std::size_t> surest(const std::vector<double>& probability) {
    const std::size_t count = std::min(probability.size(), std::max(probability.size() / 4, fewestAsked));
    std::vector<double> sorted = probability;
    std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(count - 1), std::greater{});
    std::vector<std::size_t> channels;
    for (std::size_t i = 0; i < probability.size(); ++i)
        if (probability[i] >= std::min(0.5, sorted[count - 1])) channels.push_back(i);
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

}  // namespace

Levels massiveLevels(const CorrelationSums& sums) {
    Levels levels{levelsOf(sums.massiveX()), levelsOf(sums.massiveY())};
    if (levels.source.empty() || levels.target.empty()) return {};
    return levels;
}

bool askMassiveRows(std::span<const Levels> sites, const Block& rows, const Margins& ofRows, ScoreMatrix& scores,
                    Answer& answer, std::vector<double>& probability, unsigned threads, const Progress& progress) {
    const double typical = median(ofRows.matched);
    if (typical <= 0) return false;
    const std::vector<std::size_t> asked = surest(probability);
    Fit best{nullptr, farBetter * mean(probability), 1};
    for (const Levels& levels : sites) {
        if (levels.source.empty()) continue;
        const Fit fit = fitOf(levels, answer.gauge, asked);
        if (fit.ofMatches * best.ofAll < best.ofMatches * fit.ofAll) best = fit;
    }
    if (best.levels == nullptr) return false;

    // Log likelihood ratio of a match and of any pair, both normal; a level too far from its source channel's to be a
    // match is an outlier and says nothing.
    const auto& [source, target] = *best.levels;
    const double most = roughLog2(best.ofAll / best.ofMatches) / (2 * log2e),
                 twoVariances = 2 * best.ofMatches / medianOfSquare;
    const auto ratio = [&](std::size_t i, double level) {
        return std::max(0.0, most - square(target[i] - level) / twoVariances);
    };
    // That of a score s in rows is s m / variance and a constant, with m the score of a match: so much score is worth
    // 1.
    const double worth = sampling(rows, threads) / (inDoubt * typical);
    forRowTasks(scores.d, threads, [&](std::size_t, std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i)
            for (std::size_t j = 0; j < scores.d; ++j) {
                float& score = scores.value[i * scores.d + j];
                const auto positive = static_cast<float>(score + worth * ratio(i, source[j])),
                           negative = static_cast<float>(score - worth * ratio(i, -source[j]));
                score = positive >= -negative ? positive : negative;
            }
    });
    Answer found = solve(scores, Group::signedPermutation, threads, progress);
    const auto updated = [&](const Gauge& gauge) {
        std::vector<double> result = probability;
        for (std::size_t i = 0; i < result.size(); ++i) {
            double& p = result[i];
            const double prior =
                sameAt(i, answer.gauge, gauge) ? p : p * (1 - p);  // a place that the rows alone did not choose
            const double likely = prior * std::exp(ratio(i, gauge.sign()[i] * source[gauge.perm()[i]]));
            p = likely / (likely + 1 - prior);
        }
        return result;
    };
    std::vector<double> likely = updated(found.gauge);
    if (mean(likely) + slack < mean(updated(answer.gauge))) return false;  // it gives up surer channels than it wins
    answer = std::move(found), probability = std::move(likely);
    return true;
}

}  // namespace regauge

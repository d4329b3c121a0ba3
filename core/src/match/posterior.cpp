#include "match/posterior.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "match/confidence.hpp"
#include "match/normal.hpp"
#include "match/policy.hpp"
#include "numeric/portable_exp.hpp"
#include "scores/row_tasks.hpp"

namespace regauge {
namespace {

// Strengths of a match, in spreads: quarters up to 8, then whole ones up to 39.
constexpr std::size_t quarters = 32, strengthCount = 64;
constexpr double strengthAt(std::size_t k) {
    return k < quarters ? static_cast<double>(k) / 4 : static_cast<double>(k - quarters) + 8;
}

// Scores are sorted into bins, a twentieth of a spread wide, from -45 to 45 spreads.
constexpr std::size_t bins = 1800;
constexpr double binsASpread = 20;
constexpr double mostExponent = 300;  // exponentials and their products stay finite
constexpr double leastLikelihood = 1e-300;

// How much likelier a score is with a match of that strength than without one: exp(strength score - strength^2 / 2).
double likelier(double score, double strength) {
    return portableExp(std::min(score * strength - strength * strength / 2, mostExponent));
}

// The share of every strength among matched pairs.
using Strengths = std::array<double, strengthCount>;

Strengths anyStrength() {
    Strengths share;
    share.fill(1.0 / strengthCount);
    return share;
}

using Table = std::vector<double>;  // by bin

const Table& likelierByBin() {
    static const Table table = [] {
        Table result(bins * strengthCount);
        for (std::size_t b = 0; b < bins; ++b)
            for (std::size_t k = 0; k < strengthCount; ++k)
                result[b * strengthCount + k] =
                    likelier((static_cast<double>(b) + 0.5) / binsASpread - static_cast<double>(bins) / binsASpread / 2,
                             strengthAt(k));
        return result;
    }();
    return table;
}

double mixed(std::size_t bin, const Strengths& share) {
    const double* row = &likelierByBin()[bin * strengthCount];
    double sum = 0;
    for (std::size_t k = 0; k < strengthCount; ++k) sum += row[k] * share[k];
    return sum;
}

// One round of expectation maximisation: strengths that make the matched scores, as many of them as `seen` says in each
// bin, likelier.
Strengths betterStrengths(const Strengths& share, const Table& seen) {
    Strengths found{};
    for (std::size_t b = 0; b < bins; ++b) {
        if (seen[b] == 0) continue;
        const double ratio = seen[b] / std::max(mixed(b, share), leastLikelihood);
        for (std::size_t k = 0; k < strengthCount; ++k) found[k] += ratio * likelierByBin()[b * strengthCount + k];
    }
    double sum = 0;
    for (std::size_t k = 0; k < strengthCount; ++k) sum += found[k] *= share[k];
    for (double& value : found) value /= sum;
    return found;
}

// Root mean square of the scores that are not matched, or what their median says, where some few are far larger (copies
// of channels).
double noiseOf(const ScoreRows& scores, const Gauge& gauge) {
    const std::size_t d = scores.d();
    std::vector<float> squares;
    squares.reserve(d * (d - 1));
    double sum = 0;
    std::vector<float> room;
    for (std::size_t i = 0; i < d; ++i) {
        const float* row = scores.row(i, room);
        for (std::size_t j = 0; j < d; ++j) {
            if (j == gauge.perm()[i]) continue;
            squares.push_back(row[j] * row[j]);
            sum += static_cast<double>(squares.back());
        }
    }
    constexpr double smallest = 1e-6;
    const double mean = sum / static_cast<double>(squares.size());
    const auto middle = squares.begin() + static_cast<std::ptrdiff_t>(squares.size() / 2);
    std::nth_element(squares.begin(), middle, squares.end());
    return std::max(std::sqrt(std::min(mean, static_cast<double>(*middle) / medianOfSquare)), smallest);
}

// All pairs of channels under the model of posterior.hpp, as likely beforehand as `places` says.
class Pairs {
public:
    Pairs(const ScoreRows& scores, const Gauge& gauge, Group group, unsigned threads,
          const ScoreMatrix* places = nullptr)
        : d_(scores.d()),
          anySign_(group == Group::signedPermutation),
          // One sign for all channels (LayerNorm): it is turned to plus in all pairs, matched or not.
          way_(!anySign_ && gauge.sign()[0] < 0 ? -1 : 1),
          threads_(threads),
          places_(places),
          bin_(d_ * d_) {
        const double unit = noiseOf(scores, gauge);
        std::vector<float> room;
        for (std::size_t i = 0; i < d_; ++i) {
            const float* row = scores.row(i, room);
            for (std::size_t j = 0; j < d_; ++j) {
                const double place =
                    way_ * static_cast<double>(row[j]) / unit * binsASpread + static_cast<double>(bins) / 2;
                bin_[i * d_ + j] = static_cast<std::uint16_t>(std::clamp(place, 0.0, static_cast<double>(bins - 1)));
            }
        }
        settle(gauge);
    }

    // Probability that the gauge is right in each channel; 0 where it leaves the sign open.
    std::vector<double> of(const Gauge& gauge) const {
        std::vector<double> probability(d_, 0.0);
        for (std::size_t i = 0; i < d_; ++i) {
            const std::uint32_t j = gauge.perm()[i];
            if (gauge.sign()[i] != 0)
                probability[i] = std::min(scaled(i, j) * columns_[j] * withSign_[matchedBin(gauge, i)], 1.0);
        }
        return probability;
    }

    // Of every pair with the likelier of its signs, and that sign.
    ScoreMatrix all() const {
        ScoreMatrix result{d_, kernels::UnclearedVector<float>(d_ * d_)};
        forRowTasks(d_, threads_, [&](std::size_t, std::size_t first, std::size_t last) {
            for (std::size_t i = first; i < last; ++i)
                for (std::size_t j = 0; j < d_; ++j) {
                    const std::size_t b = bin_[i * d_ + j];
                    const double plus = withSign_[b], minus = anySign_ ? withSign_[bins - 1 - b] : 0;
                    const double likelier = plus >= minus ? plus : -minus;
                    result.value[i * d_ + j] = static_cast<float>(way_ * scaled(i, j) * columns_[j] * likelier);
                }
        });
        return result;
    }

private:
    // Strengths, and rows and columns that add up to one, from those that the gauge's own pairs show.
    void settle(const Gauge& gauge) {
        Strengths share = anyStrength();
        Table seen(bins, 0.0);
        for (std::size_t i = 0; i < d_; ++i) seen[matchedBin(gauge, i)] += 1;
        columns_.assign(d_, 1.0), rows_.assign(d_, 0.0);
        for (int round = 0; round < policy::posteriorRounds; ++round) {
            for (int k = 0; k < policy::strengthRounds; ++k) share = betterStrengths(share, seen);
            weigh(share);
            for (int k = 0; k < policy::balanceRounds; ++k) balance();
            const Table before = std::exchange(seen, matchedScores());
            double apart = 0, most = 0;
            for (std::size_t b = 0; b < bins; ++b) {
                apart += seen[b] - before[b];
                most = std::max(most, std::fabs(apart));
            }
            if (most < policy::settledStrengths * static_cast<double>(d_)) break;
        }
    }

    double beforehand(std::size_t i, std::size_t j) const {
        return places_ == nullptr ? 1.0 : static_cast<double>(places_->value[i * d_ + j]);
    }
    double scaled(std::size_t i, std::size_t j) const { return rows_[i] * beforehand(i, j); }

    std::size_t matchedBin(const Gauge& gauge, std::size_t i) const {
        const std::size_t b = bin_[i * d_ + gauge.perm()[i]];
        return anySign_ && gauge.sign()[i] < 0 ? bins - 1 - b : b;
    }

    // Likelihood ratios of a pair by its bin: with the sign of its score turned to plus, and with either sign.
    void weigh(const Strengths& share) {
        withSign_.resize(bins), either_.resize(bins);
        for (std::size_t b = 0; b < bins; ++b)
            withSign_[b] = std::clamp(mixed(b, share), 1 / policy::mostLikely, policy::mostLikely);
        for (std::size_t b = 0; b < bins; ++b) either_[b] = withSign_[b] + (anySign_ ? withSign_[bins - 1 - b] : 0);
    }

    // Rows, and then columns, scaled so that they add up to one.
    void balance() {
        std::vector<std::vector<double>> parts(rowTasks(d_));
        forRowTasks(d_, threads_, [&](std::size_t task, std::size_t first, std::size_t last) {
            std::vector<double>& part = parts[task];
            part.assign(d_, 0.0);
            for (std::size_t i = first; i < last; ++i) {
                const std::uint16_t* bin = &bin_[i * d_];
                double sum = 0;
                for (std::size_t j = 0; j < d_; ++j) sum += either_[bin[j]] * beforehand(i, j) * columns_[j];
                rows_[i] = 1 / sum;
                for (std::size_t j = 0; j < d_; ++j) part[j] += scaled(i, j) * either_[bin[j]];
            }
        });
        for (std::size_t j = 0; j < d_; ++j) {
            double sum = 0;
            for (const std::vector<double>& part : parts) sum += part[j];
            columns_[j] = 1 / sum;
        }
    }

    // How many matched pairs there are in each bin, by their probabilities, signs turned to plus.
    Table matchedScores() const {
        std::vector<Table> parts(rowTasks(d_));
        forRowTasks(d_, threads_, [&](std::size_t task, std::size_t first, std::size_t last) {
            Table& part = parts[task];
            part.assign(bins, 0.0);
            for (std::size_t i = first; i < last; ++i)
                for (std::size_t j = 0; j < d_; ++j) part[bin_[i * d_ + j]] += scaled(i, j) * columns_[j];
        });
        Table pairs(bins, 0.0), result(bins, 0.0);
        for (const Table& part : parts)
            for (std::size_t b = 0; b < bins; ++b) pairs[b] += part[b];
        for (std::size_t b = 0; b < bins; ++b)
            result[b] = withSign_[b] * (pairs[b] + (anySign_ ? pairs[bins - 1 - b] : 0));
        return result;
    }

    std::size_t d_;
    bool anySign_;
    double way_;
    unsigned threads_;
    const ScoreMatrix* places_;
    std::vector<std::uint16_t> bin_;  // of each score
    std::vector<double> rows_, columns_;
    Table withSign_, either_;
};

}  // namespace

std::vector<double> posterior(const ScoreRows& scores, const Gauge& gauge, Group group, unsigned threads) {
    if (scores.d() < 2) return std::vector<double>(scores.d(), 0.0);  // nothing else to compare with
    return Pairs(scores, gauge, group, threads).of(gauge);
}

namespace {

// What `ask` says of the scores z, and of z with the fit of each pair to the others, which count as much as they are
// believed; again while that tells more. ask(scores, gauge) -> Placed.
template <class Ask>
Placed voted(const ScoreMatrix& z, const Gauge& gauge, const std::vector<Structure>& structures, unsigned threads,
             const Progress& progress, const Ask& ask) {
    Placed best = ask(z, gauge);
    for (int round = 0; round < policy::voteRounds; ++round) {
        progress.report("asking each other", static_cast<std::uint64_t>(round), policy::voteRounds);
        const ScoreMatrix fit = fitOf(structures, best.gauge, best.probability, threads);
        if (fit.value.empty()) break;
        ScoreMatrix both = z;
        add(both, 1, fit);
        Placed next = ask(both, best.gauge);
        const double gain = mean(next.probability) - mean(best.probability);
        if (gain > 0) best = std::move(next);
        if (gain < policy::voteGain) break;
    }
    return best;
}

}  // namespace

std::vector<double> votedPosterior(const ScoreMatrix& z, const Gauge& gauge, const std::vector<Structure>& structures,
                                   Group group, unsigned threads, const Progress& progress) {
    const auto ask = [&](const ScoreMatrix& scores, const Gauge& same) {
        return Placed{same, posterior(scores, same, group, threads)};
    };
    return voted(z, gauge, structures, threads, progress, ask).probability;
}

Placed placedPosterior(const ScoreMatrix& z, const ScoreMatrix& places, const Gauge& first,
                       const std::vector<Structure>& structures, Group group, unsigned threads,
                       const Progress& progress) {
    if (z.d < 2) return {first, std::vector<double>(z.d, 0.0)};
    const auto ask = [&](const ScoreMatrix& scores, const Gauge& before) {
        const Pairs pairs(scores, before, group, threads, &places);
        Gauge best = solve(pairs.all(), group, threads, progress).gauge;
        std::vector<double> probability = pairs.of(best);
        return Placed{std::move(best), std::move(probability)};
    };
    return voted(z, first, structures, threads, progress, ask);
}

}  // namespace regauge

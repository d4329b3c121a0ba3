#include "match/gain_scores.hpp"

#include <algorithm>
#include <cmath>

#include "match/confidence.hpp"
#include "match/policy.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

const Gains* counterpart(const Gains& gains, const Evidence& other) {
    const auto found = std::ranges::find(other.gains, gains.name, &Gains::name);
    return found == other.gains.end() ? nullptr : &*found;
}

// Centred and scaled to unit spread; empty where the vector is constant (an untrained norm).
std::vector<double> standardised(const std::vector<double>& values) {
    double sum = 0, squares = 0;
    for (const double value : values) sum += value;
    const double centre = sum / static_cast<double>(values.size());
    for (const double value : values) squares += (value - centre) * (value - centre);
    const double unit = std::sqrt(squares / static_cast<double>(values.size()));
    std::vector<double> result;
    if (unit < policy::constantGains) return result;
    for (const double value : values) result.push_back((value - centre) / unit);
    return result;
}

void subtractDistances(ScoreMatrix& scores, const std::vector<double>& x, const std::vector<double>& y) {
    for (std::size_t i = 0; i < scores.d; ++i)
        for (std::size_t j = 0; j < scores.d; ++j)
            scores.value[i * scores.d + j] -=
                static_cast<float>(std::min((y[i] - x[j]) * (y[i] - x[j]), policy::farthestGains));
}

// exp(-distance / 2 sigma^2) of the match against the sum over all source channels; sigma^2 is what the matched pairs
// themselves show.
std::vector<double> posteriors(const ScoreMatrix& scores, const std::vector<std::uint32_t>& perm, std::size_t vectors) {
    const std::size_t d = scores.d;
    double residual = 0;
    for (std::size_t i = 0; i < d; ++i) residual -= static_cast<double>(scores.value[i * d + perm[i]]);
    const double variance = std::max(residual / static_cast<double>(d * vectors), policy::leastGainVariance);
    std::vector<double> posterior(d);
    for (std::size_t i = 0; i < d; ++i) {
        double others = 0;
        for (std::size_t j = 0; j < d; ++j)
            if (j != perm[i])
                others += std::exp(static_cast<double>(scores.value[i * d + j] - scores.value[i * d + perm[i]]) /
                                   (2 * variance));
        posterior[i] = 1 / (1 + others);
    }
    return posterior;
}

// Halves that err apart from each other are both right where they agree, each on the root of that share; and errors
// fall exponentially with the number of vectors, so all of them err on the square of what a half errs on. Posteriors
// that promise more (of few vectors) are scaled down.
void boundByHalves(GainMatch& match) {
    const double ofHalf = 1 - std::sqrt(match.agreement), most = 1 - ofHalf * ofHalf, said = mean(match.confidence);
    if (said <= most) return;
    for (double& confidence : match.confidence) confidence *= most / said;
}

}  // namespace

GainMatch matchGainVectors(const Evidence& source, const Evidence& target, unsigned threads, const Progress& progress) {
    GainMatch match;
    const std::size_t d = source.d;
    Halves half;
    for (const Gains& gains : source.gains) {
        const Gains* other = counterpart(gains, target);
        if (other == nullptr) continue;
        if (gains.values.size() != d || other->values.size() != d)
            throw Error(
                ErrorCode::dimensionMismatch, target.name + ": gains " + gains.name,
                std::to_string(other->values.size()) + " gains, and " + source.name + " has d = " + std::to_string(d));
        const std::vector<double> x = standardised(gains.values), y = standardised(other->values);
        if (x.empty() || y.empty()) continue;
        if (match.vectors == 0)
            for (ScoreMatrix& scores : half) scores = {d, kernels::UnclearedVector<float>(d * d, 0.0F)};
        subtractDistances(half[match.vectors++ % 2], x, y);
    }
    if (match.vectors == 0) return match;
    match.scores = half[0];
    add(match.scores, 1, half[1]);
    const Answer answer = solve(match.scores, Group::permutation, threads, progress);
    match.perm = answer.gauge.perm();
    match.confidence = posteriors(match.scores, match.perm, match.vectors);
    if (match.vectors > 1) {
        const auto gaugeOf = [&](const ScoreMatrix& scores) {
            return solve(scores, Group::permutation, threads, progress).gauge;
        };
        match.agreement = compare(gaugeOf(half[0]), gaugeOf(half[1])).permutation;
    }
    boundByHalves(match);
    return match;
}

void addGains(ScoreMatrix& z, const GainMatch& gains) {
    const double unit = spread(gains.scores, Gauge(gains.perm, std::vector<std::int8_t>(z.d, 1)), 1);
    for (std::size_t i = 0; i < z.d; ++i) {
        const double matched = gains.scores.value[i * z.d + gains.perm[i]];
        for (std::size_t j = 0; j < z.d; ++j) {
            float& value = z.value[i * z.d + j];
            const double bonus =
                std::clamp(1 + (static_cast<double>(gains.scores.value[i * z.d + j]) - matched) / unit, 0.0, 1.0);
            value = std::copysign(std::fabs(value) + static_cast<float>(bonus), value);
        }
    }
}

}  // namespace regauge

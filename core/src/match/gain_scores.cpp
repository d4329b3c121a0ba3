#include "match/gain_scores.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "match/confidence.hpp"
#include "match/policy.hpp"
#include "numeric/portable_exp.hpp"
#include "regauge/error.hpp"
#include "scores/row_tasks.hpp"

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

// sigma^2: what the matched pairs themselves show, a vector.
double varianceOf(const GainMatch& gains) {
    const std::size_t d = gains.scores.d;
    double residual = 0;
    for (std::size_t i = 0; i < d; ++i) residual -= static_cast<double>(gains.scores.value[i * d + gains.perm[i]]);
    return std::max(residual / static_cast<double>(d * gains.vectors), policy::leastGainVariance);
}

// Posteriors of all source channels for target channel i: exp(-distance / 2 sigma^2), scaled to add up to one.
void posteriors(const GainMatch& gains, std::size_t i, std::vector<double>& partner) {
    const std::span<const float> score = std::span(gains.scores.value).subspan(i * gains.scores.d, gains.scores.d);
    const double nearest = static_cast<double>(std::ranges::max(score));
    double sum = 0;
    for (std::size_t j = 0; j < score.size(); ++j)
        sum += partner[j] = portableExp((static_cast<double>(score[j]) - nearest) / (2 * gains.variance));
    for (double& p : partner) p /= sum;
}

// Halves that err apart from each other are both right where they agree, each on the root of that share; and errors
// fall exponentially with the number of vectors, so all of them err on the square of what a half errs on. Posteriors
// that promise more (of few vectors) are scaled down.
double borneOutByHalves(double said, double agreement) {
    const double ofHalf = 1 - std::sqrt(agreement), most = 1 - ofHalf * ofHalf;
    return said > most ? most / said : 1;
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
    match.variance = varianceOf(match);
    match.confidence.resize(d);
    std::vector<double> partner(d);
    for (std::size_t i = 0; i < d; ++i) {
        posteriors(match, i, partner);
        match.confidence[i] = partner[match.perm[i]];
    }
    if (match.vectors > 1) {
        const auto gaugeOf = [&](const ScoreMatrix& scores) {
            return solve(scores, Group::permutation, threads, progress).gauge;
        };
        match.agreement = compare(gaugeOf(half[0]), gaugeOf(half[1])).permutation;
    }
    match.borneOut = borneOutByHalves(mean(match.confidence), match.agreement);
    for (double& confidence : match.confidence) confidence *= match.borneOut;
    return match;
}

ScoreMatrix likelyPlaces(const GainMatch& gains, unsigned threads) {
    const std::size_t d = gains.perm.size();
    ScoreMatrix places{d, kernels::UnclearedVector<float>(d * d)};
    const double anywhere = (1 - gains.borneOut) / static_cast<double>(d);
    forRowTasks(d, threads, [&](std::size_t, std::size_t first, std::size_t last) {
        std::vector<double> partner(d);
        for (std::size_t i = first; i < last; ++i) {
            posteriors(gains, i, partner);
            for (std::size_t j = 0; j < d; ++j)
                places.value[i * d + j] = static_cast<float>(gains.borneOut * partner[j] + anywhere);
        }
    });
    return places;
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

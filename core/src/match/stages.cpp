#include "match/stages.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "match/plain.hpp"
#include "match/policy.hpp"
#include "match/rotation_null.hpp"

namespace regauge {
namespace {

std::vector<double> probabilities(const Clues& clues, const Gauge& gauge, const Margins& margins,
                                  const Refined* refined) {
    const auto& [first, second] = clues.rows->ofHalf;
    if (!clues.whitened) return plainProbabilities(margins, gauge, first, second);
    return channelProbabilities({gauge, margins, refined, first, second, clues.advantage, clues.rows->sure()},
                                clues.group, clues.threads);
}

Margins marginsIn(const Clues& clues, const Block& rows, const Gauge& gauge) {
    return margins({rows.halves[0], rows.halves[1]}, gauge, clues.group, clues.threads);
}

// What the gauge is best in, in spreads.
ScoreMatrix scoresOf(const Clues& clues, const Estimate& estimate) {
    if (estimate.scores) return *estimate.scores;
    ScoreMatrix scores = inSpreads(*estimate.rows);
    if (clues.gains) addGains(scores, *clues.gains);
    return scores;
}

// What the rotation null says of a gauge: in the fused scores or in the weakest whitening, whichever tells more. The
// latter does where rows are few, as strong whitening makes their noise louder.
std::vector<double> nullConfidence(const Clues& clues, const Gauge& gauge, const Progress& progress) {
    const auto judged = [&](const ScoreRows& scores) {
        return rotationConfidence(scores, gauge, clues.group, clues.threads, progress);
    };
    std::vector<double> confidence = judged(ScoreRows(clues.rows->halves[0], clues.rows->halves[1]));
    if (!clues.soft) return confidence;
    std::vector<double> soft = judged(*clues.soft);
    return mean(soft) > mean(confidence) ? soft : confidence;
}

// The probability that a standard normal number is below t.
double normalBelow(double t) { return 0.5 * std::erfc(-t / std::sqrt(2.0)); }

bool areSure(const GainMatch& gains) {
    return mean(gains.confidence) >= policy::sureGains && gains.agreement >= policy::confirmedGains;
}

// A sign is that of the plain correlation of the pair that gains match, as sure as its t statistic, or the answer's own
// where that has the channel in the same place and is surer.
Estimate placedByGains(const Clues& clues, Estimate estimate) {
    const GainMatch& gains = *clues.gains;
    const Halves& cross = clues.plain->block->halves;
    const auto rows = static_cast<double>(clues.plain->rows);
    const std::size_t d = estimate.gauge.d();
    std::vector<std::int8_t> sign(d);
    for (std::size_t i = 0; i < d; ++i) {
        const std::uint32_t j = gains.perm[i];
        double& p = estimate.probability[i];
        const double r =
            std::clamp(static_cast<double>(cross[0].value[i * d + j]) + cross[1].value[i * d + j], -1.0, 1.0);
        const double ofSign = normalBelow(std::fabs(r) * std::sqrt(rows / std::max(1 - r * r, policy::leastRest)));
        const bool own = estimate.gauge.perm()[i] == j && estimate.gauge.sign()[i] != 0 && p >= ofSign;
        sign[i] = own ? estimate.gauge.sign()[i] : static_cast<std::int8_t>((r > 0) - (r < 0));
        p = gains.confidence[i] * (own ? p : ofSign);
    }
    estimate.gauge = Gauge(gains.perm, std::move(sign));
    estimate.margins = marginsIn(clues, *estimate.rows, estimate.gauge);
    return estimate;
}

}  // namespace

Estimate ofRows(const Clues& clues) {
    const Block& rows = *clues.rows;
    return {.gauge = rows.answer.gauge,
            .probability = probabilities(clues, rows.answer.gauge, rows.margins, nullptr),
            .rows = clues.rows,
            .margins = rows.margins,
            .similarity = clues.similarity,
            .agreement = agreement(rows.ofHalf[0], rows.ofHalf[1]),
            .statistic = clues.whitened ? "whitened" : "correlation",
            .scores = nullptr};
}

Estimate withGains(const Clues& clues, Estimate estimate, const Progress& progress) {
    if (!clues.gains) return estimate;
    estimate.gauge = solve(scoresOf(clues, estimate), clues.group, clues.threads, progress).gauge;
    estimate.margins = marginsIn(clues, *estimate.rows, estimate.gauge);
    estimate.probability = probabilities(clues, estimate.gauge, estimate.margins, nullptr);
    return estimate;
}

Estimate refined(const Clues& clues, Estimate estimate, const Progress& progress) {
    if (clues.structures.empty()) return estimate;
    Refined refined =
        refine(scoresOf(clues, estimate), {estimate.gauge, {}}, clues.structures, clues.group, clues.threads, progress);
    const Gauge& gauge = refined.answer.gauge;
    Margins ofRows = marginsIn(clues, *estimate.rows, gauge);
    std::vector<double> probability = probabilities(clues, gauge, ofRows, &refined);
    if (mean(probability) >= policy::keepRefined) {
        estimate.gauge = gauge, estimate.margins = std::move(ofRows), estimate.probability = std::move(probability);
        if (!clues.levels.empty()) estimate.scores = std::make_shared<const ScoreMatrix>(std::move(refined.combined));
        return estimate;
    }
    for (std::size_t i = 0; i < probability.size(); ++i)
        if (!sameAt(i, estimate.gauge, gauge)) probability[i] /= 2;
    estimate.probability = std::move(probability);
    return estimate;
}

Estimate orPlain(const Clues& clues, Estimate estimate, const Progress& progress) {
    std::optional<Estimate> plain = betterPlain(clues, estimate, progress);
    return plain ? *std::move(plain) : estimate;
}

Estimate judgedByRotations(const Clues& clues, Estimate estimate, const Progress& progress) {
    if (!clues.whitened || clues.rows->sure()) return estimate;
    const std::vector<double> null = nullConfidence(clues, estimate.gauge, progress);
    const double weight = estimate.rows == clues.rows ? policy::ofNull : policy::ofNullForPlain;
    for (std::size_t i = 0; i < null.size(); ++i)
        estimate.probability[i] += weight * (null[i] - estimate.probability[i]);
    return estimate;
}

Estimate placed(const Clues& clues, Estimate estimate, const Progress& progress) {
    if (clues.plain && clues.gains && clues.group == Group::signedPermutation && areSure(*clues.gains))
        return placedByGains(clues, std::move(estimate));
    if (clues.levels.empty()) return estimate;
    std::optional<MassiveAnswer> found =
        askMassiveRows(clues.levels, *estimate.rows, estimate.margins, scoresOf(clues, estimate), estimate.gauge,
                       estimate.probability, clues.threads, progress);
    if (!found) return estimate;
    estimate.gauge = std::move(found->gauge), estimate.probability = std::move(found->probability);
    estimate.margins = marginsIn(clues, *estimate.rows, estimate.gauge);
    return estimate;
}

Estimate settled(const Clues& clues, Estimate estimate) {
    std::vector<std::int8_t> sign = estimate.gauge.sign();
    for (std::size_t i = 0; i < sign.size(); ++i) {
        const std::uint32_t j = estimate.gauge.perm()[i];
        double& p = estimate.probability[i];
        if (estimate.margins.matched[i] == 0) {
            p = 0;
            if (clues.group == Group::signedPermutation) sign[i] = 0;
        }
        if (!clues.copiesX.empty()) p = std::min(p, 1.0 / std::max({1U, clues.copiesX[j], clues.copiesY[i]}));
    }
    estimate.gauge = Gauge(estimate.gauge.perm(), std::move(sign));
    return estimate;
}

}  // namespace regauge

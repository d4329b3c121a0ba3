#include "match/stages.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "match/plain.hpp"
#include "match/policy.hpp"
#include "match/posterior.hpp"
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

// What rows and the votes of other channels say of a whitened answer is too little where channels were placed by how
// they relate to each other, and what the scores say that it was refined in is too much, as they were made to fit it:
// the middle. Where nothing was refined votes are too much, and rows alone too little.
std::vector<double> ownPosterior(const Clues& clues, const Estimate& estimate, const Progress& progress) {
    const ScoreMatrix rows = inSpreads(*clues.rows);
    std::vector<double> own =
        votedPosterior(rows, estimate.gauge, clues.structures, clues.group, clues.threads, progress);
    const std::vector<double> other =
        posterior(estimate.scores ? *estimate.scores : rows, estimate.gauge, clues.group, clues.threads);
    for (std::size_t i = 0; i < own.size(); ++i) own[i] = (own[i] + other[i]) / 2;
    return own;
}

// 1 for as many channels as confidences were fitted on, 0 from twice as many.
double narrowness(const Estimate& estimate) {
    return belowTwice(policy::fittedWidth, static_cast<double>(estimate.gauge.d()));
}

// The fitted probabilities, or those of a plain answer's halves, and what the rotation null says.
std::vector<double> besideNull(const Clues& clues, const Estimate& estimate, const Progress& progress) {
    const double weight = estimate.rows == clues.rows ? policy::ofNull : policy::ofNullForPlain;
    std::vector<double> both = nullConfidence(clues, estimate.gauge, progress);
    for (std::size_t i = 0; i < both.size(); ++i)
        both[i] = estimate.probability[i] + weight * (both[i] - estimate.probability[i]);
    return both;
}

// From the scores that tell most: all statistics fused, the weakest whitening, or plain correlation.
Signs surestSigns(const Clues& clues, const std::vector<std::uint32_t>& perm) {
    const auto ofBlock = [&](const Block& block) {
        return signsIn({block.halves[0], block.halves[1]}, perm, clues.threads);
    };
    std::vector<Signs> all{ofBlock(*clues.rows)};
    if (clues.soft) all.push_back(signsIn(*clues.soft, perm, clues.threads));
    if (clues.plain) all.push_back(ofBlock(*clues.plain->block));
    return *std::ranges::max_element(all, {}, [](const Signs& signs) { return mean(signs.probability); });
}

// Gains say which channel is which, and rows its sign; or the answer's own sign, where that has the channel in the same
// place and is surer.
Estimate placedByGains(const Clues& clues, Estimate estimate) {
    const GainMatch& gains = *clues.gains;
    Signs signs = surestSigns(clues, gains.perm);
    for (std::size_t i = 0; i < gains.perm.size(); ++i) {
        double& p = estimate.probability[i];
        const double ofSign = signs.probability[i];
        const bool own = estimate.gauge.perm()[i] == gains.perm[i] && estimate.gauge.sign()[i] != 0 && p >= ofSign;
        if (own) signs.sign[i] = estimate.gauge.sign()[i];
        p = gains.confidence[i] * (own ? p : ofSign);
    }
    estimate.gauge = Gauge(gains.perm, std::move(signs.sign));
    estimate.margins = marginsIn(clues, *estimate.rows, estimate.gauge);
    estimate.placedByGains = true;
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
            .scores = nullptr,
            .placedByGains = false};
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
        estimate.scores = std::make_shared<const ScoreMatrix>(std::move(refined.combined));
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

Estimate judged(const Clues& clues, Estimate estimate, const Progress& progress) {
    if (!clues.whitened || clues.rows->sure()) return estimate;
    const bool whitened = estimate.rows == clues.rows;
    const double few = whitened ? narrowness(estimate) : 1;
    const std::vector<double> fitted = few > 0 ? besideNull(clues, estimate, progress) : estimate.probability;
    estimate.probability = few < 1 ? ownPosterior(clues, estimate, progress) : fitted;
    for (std::size_t i = 0; i < fitted.size(); ++i)
        estimate.probability[i] += few * (fitted[i] - estimate.probability[i]);
    return estimate;
}

Estimate choose(Estimate one, Estimate other) { return other.expected() > one.expected() ? other : one; }

Estimate orPlacedByGains(const Clues& clues, Estimate estimate) {
    if (!clues.gains || clues.rows->sure() || clues.group != Group::signedPermutation) return estimate;
    return choose(estimate, placedByGains(clues, estimate));
}

Estimate withMassive(const Clues& clues, Estimate estimate, const Progress& progress) {
    if (clues.levels.empty() || estimate.placedByGains) return estimate;
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

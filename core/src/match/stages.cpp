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
    if (!clues.whitened) return plainProbabilities(*clues.rows, gauge, margins, clues.group, clues.threads);
    return channelProbabilities({gauge, margins, refined, first, second, clues.advantage, clues.rows->sure()},
                                clues.group, clues.threads);
}

Margins marginsIn(const Clues& clues, const Block& rows, const Gauge& gauge) {
    return margins({rows.halves[0], rows.halves[1]}, gauge, clues.group, clues.threads);
}

// What the gauge is best in, in spreads.
ScoreMatrix scoresOf(const Estimate& estimate) {
    return estimate.scores ? *estimate.scores : inSpreads(*estimate.rows);
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

// How far the signs of the gains' pairs in one half of the rows are those in the other half, in standard deviations of
// what chance does.
double signsOfHalves(const Clues& clues) {
    const Halves& halves = clues.rows->halves;
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < clues.gains->perm.size(); ++i) {
        const std::size_t at = i * halves[0].d + clues.gains->perm[i];
        const double product = static_cast<double>(halves[0].value[at]) * static_cast<double>(halves[1].value[at]);
        sum += product, squares += product * product;
    }
    return squares > 0 ? sum / std::sqrt(squares) : 0;
}

// What rows and gains say together; with a sign for every channel at first, as its score in the gains' place has it.
Estimate placedByGains(const Clues& clues, Estimate estimate, const Progress& progress) {
    const ScoreMatrix rows = inSpreads(*clues.rows);
    const std::vector<std::uint32_t>& perm = clues.gains->perm;
    std::vector<std::int8_t> sign = estimate.gauge.sign();
    if (clues.group == Group::signedPermutation)
        for (std::size_t i = 0; i < sign.size(); ++i) sign[i] = rows.value[i * rows.d + perm[i]] < 0 ? -1 : 1;
    Placed placed = placedPosterior(rows, likelyPlaces(*clues.gains, clues.threads), Gauge(perm, std::move(sign)),
                                    clues.structures, clues.group, clues.threads, progress);
    estimate.gauge = std::move(placed.gauge), estimate.probability = std::move(placed.probability);
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
    if (!clues.gains || !clues.rows->sure() || clues.gains->agreement < policy::decisiveGains) return estimate;
    ScoreMatrix scores = scoresOf(estimate);
    addGains(scores, *clues.gains);
    estimate.gauge = solve(scores, clues.group, clues.threads, progress).gauge;
    estimate.margins = marginsIn(clues, *estimate.rows, estimate.gauge);
    estimate.probability = probabilities(clues, estimate.gauge, estimate.margins, nullptr);
    return estimate;
}

Estimate refined(const Clues& clues, Estimate estimate, const Progress& progress) {
    if (clues.structures.empty()) return estimate;
    Refined refined =
        refine(scoresOf(estimate), {estimate.gauge, {}}, clues.structures, clues.group, clues.threads, progress);
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

Estimate orPlacedByGains(const Clues& clues, Estimate estimate, const Progress& progress) {
    if (!clues.gains || clues.rows->sure() || signsOfHalves(clues) < policy::pairedRows) return estimate;
    return choose(estimate, placedByGains(clues, estimate, progress));
}

Estimate withMassive(const Clues& clues, Estimate estimate, const Progress& progress) {
    if (clues.levels.empty() || estimate.placedByGains) return estimate;
    std::optional<MassiveAnswer> found =
        askMassiveRows(clues.levels, *estimate.rows, estimate.margins, scoresOf(estimate), estimate.gauge,
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

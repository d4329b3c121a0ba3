#include "match/plain.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "match/confidence.hpp"
#include "match/policy.hpp"
#include "numeric/residual.hpp"

namespace regauge {
namespace {

// Bits a channel that an answer by chance does not explain. Of few channels one is soon like another.
double explains(std::size_t d) {
    return std::max(policy::explains,
                    policy::explainsByWidth / (static_cast<double>(d) * std::sqrt(static_cast<double>(d))));
}

// By how many unexplained bits a channel (residual.hpp) plain correlation must win. Where it explains much, noise is
// light and alike in all channels, and it need only be as good, or about as good; an answer that is all but certain
// falls to a clear win only. In between a win counts once it cannot be chance: in all the numbers of the rows together
// it is some ten units of log-likelihood. Where rows are few it need only win; where they do not even span the channels
// it may lose by a little, as what whitening fits there is partly chance, and its estimate too high.
double winningBits(double explained, double estimate, std::size_t d, std::uint64_t rows) {
    if (rows <= d) return explained >= explains(d) && estimate < policy::certain ? policy::fewRowsLoss : 0;
    if (estimate >= policy::allButCertain) return policy::clearWin;
    if (explained >= policy::explainsMuch) return estimate >= policy::certain ? policy::asGood : policy::aboutAsGood;
    if (areFew(rows, d)) return 0;
    if (explained >= policy::explainsSome)
        return std::min(policy::someWin, policy::togetherWin / (static_cast<double>(d) * static_cast<double>(rows)));
    return explained > 0 ? policy::someWin : std::numeric_limits<double>::infinity();
}

// Halves also agree on what is reproducible and wrong, so that alone is no reason to believe them.
// explained: bits a channel. halves: their agreement. others: the agreement of all rows with the answer at hand, and
// estimate: how far that one is believed.
bool isCredible(double explained, double halves, double others, double estimate, std::size_t d, std::uint64_t rows) {
    if (others >= policy::nearlySame && estimate >= policy::nearlySure && d >= policy::fewestNearlySame) return true;
    const double enough = explains(d);
    if (explained >= enough) return true;
    if (d <= policy::smallWidth) {
        const bool unanimous =
            d >= policy::fewestNearlySame && halves >= policy::unanimous && others >= policy::unanimous;
        return explained >=
                   std::max(policy::explains, unanimous ? 0 : policy::explainsSmall / static_cast<double>(d * d)) &&
               halves >= policy::smallHalves && others >= policy::smallOthers;
    }
    const bool tooFewToBeReproduciblyWrong = areFew(rows, d) && halves >= policy::fewRowsHalves;
    if (tooFewToBeReproduciblyWrong)  // rows span no more
        return explained * std::max(1.0, static_cast<double>(d) / static_cast<double>(rows)) >=
               enough * policy::explainsWithHalves;
    return explained >= enough * policy::explainsWithHalves && halves >= policy::largeHalves &&
           others >= policy::largeHalves;
}

// Plain correlation's answer, its gains added; probabilities are not known yet.
Estimate answerOf(const Clues& clues, const Progress& progress) {
    const Block& block = *clues.plain->block;
    Estimate plain{.gauge = block.answer.gauge,
                   .probability = {},
                   .rows = clues.plain->block,
                   .margins = block.margins,
                   .similarity = block.unit,
                   .agreement = agreement(block.ofHalf[0], block.ofHalf[1]),
                   .statistic = "correlation",
                   .scores = nullptr};
    if (!clues.gains) return plain;
    const ScoreMatrix ofRows = inSpreads(block);
    ScoreMatrix z = ofRows;
    addGains(z, *clues.gains);
    plain.gauge = solve(z, clues.group, clues.threads, progress).gauge;
    plain.margins = margins(ofRows, plain.gauge, clues.group, clues.threads);
    return plain;
}

}  // namespace

std::optional<Estimate> betterPlain(const Clues& clues, const Estimate& atHand, const Progress& progress) {
    if (!clues.plain) return std::nullopt;
    progress.report("comparing with plain correlation", 0, 1);
    Estimate plain = answerOf(clues, progress);
    const PlainRows& site = *clues.plain;
    const std::size_t d = plain.gauge.d();
    const ScoreMatrix whole = sum(site.block->halves);
    const auto rest = [&](const Gauge* gauge) {
        return unexplained(whole.value, site.gramX, site.gramY, gauge, clues.threads);
    };
    const double estimate = atHand.expected(), here = rest(&plain.gauge), explained = rest(nullptr) - here;
    const double difference = rest(&atHand.gauge) - here;
    const bool credible =
        isCredible(explained, plain.agreement, agreement(plain.gauge, atHand.gauge), estimate, d, site.rows);
    plain.probability = confidenceFromHalves(plain.gauge, site.block->ofHalf[0], site.block->ofHalf[1], credible);
    const bool less = difference > winningBits(explained, estimate, d, site.rows);
    const bool believable = plain.expected() >= estimate - policy::muchLess || estimate < policy::hopeless ||
                            (areFew(site.rows, d) && (plain.expected() >= policy::atLeastHalf || difference > 0));
    if (!less || !believable) return std::nullopt;
    for (std::size_t i = 0; i < d; ++i) {
        const bool same = sameAt(i, plain.gauge, atHand.gauge);
        plain.probability[i] = std::max(plain.probability[i], same ? atHand.probability[i] : atHand.probability[i] / 2);
    }
    return plain;
}

}  // namespace regauge

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

// By how many unexplained bits a channel (residual.hpp) plain correlation must win where rows span the channels. Where
// it explains much, noise is light and alike in all channels, and it need only be as good, or about as good; an answer
// that is all but certain falls to a clear win only. In between a win counts once it cannot be chance: in all the
// numbers of the rows together it is some ten units of log-likelihood. Where rows are few it need only win.
double winningBitsOfMany(double explained, double estimate, std::size_t d, std::uint64_t rows) {
    if (estimate >= policy::allButCertain) return policy::clearWin;
    if (explained >= policy::explainsMuch) return estimate >= policy::certain ? policy::asGood : policy::aboutAsGood;
    const double few = fewness(rows, d);
    if (few < 1 && explained <= 0) return std::numeric_limits<double>::infinity();
    const double together = policy::togetherWin / (static_cast<double>(d) * static_cast<double>(rows));
    return (1 - few) * (explained >= policy::explainsSome ? std::min(policy::someWin, together) : policy::someWin);
}

// The same for any rows. Where they do not even span the channels it may lose by a little, as what whitening fits there
// is partly chance, and its estimate too high; twice as many are judged as those that do.
double winningBits(double explained, double estimate, std::size_t d, std::uint64_t rows) {
    const double spanned = std::clamp(static_cast<double>(rows) / static_cast<double>(d) - 1, 0.0, 1.0);
    const double ofFew = explained >= explains(d) && estimate < policy::certain ? policy::fewRowsLoss : 0;
    if (spanned == 0) return ofFew;
    return (1 - spanned) * ofFew + spanned * winningBitsOfMany(explained, estimate, d, rows);
}

// Halves also agree on what is reproducible and wrong, so that alone is no reason to believe them.
// explained: bits a channel. halves: their agreement. others: the agreement of all rows with the answer at hand, and
// estimate: how far that one is believed.
bool isCredible(double explained, double halves, double others, double estimate, std::size_t d, std::uint64_t rows) {
    if (others >= policy::nearlySame && estimate >= policy::nearlySure && d >= policy::fewestNearlySame) return true;
    const double enough = explains(d);
    if (explained >= enough) return true;
    // Of many channels half as much will do where halves agree, and less agreement with the answer at hand.
    const auto width = static_cast<double>(d);
    const double many = std::clamp(width / policy::smallWidth - 1, 0.0, 1.0);
    const auto between = [many](double ofFew, double ofMany) { return ofFew + many * (ofMany - ofFew); };
    const double lessOfMany = between(1, policy::explainsWithHalves);
    // Rows span no more directions than there are of them, and few cannot be reproducibly wrong.
    const double perRow = between(1, std::max(1.0, width / static_cast<double>(rows)));
    const double lessOfFewRows = 1 - fewness(rows, d) * (1 - lessOfMany);
    if (halves >= policy::fewRowsHalves && many > 0 && explained * perRow >= enough * lessOfFewRows) return true;
    const bool unanimous = d >= policy::fewestNearlySame && halves >= policy::unanimous && others >= policy::unanimous;
    const double byWidth = unanimous ? 0 : policy::explainsSmall / (width * width);
    return explained >= std::max(policy::explains * lessOfMany, byWidth) &&
           halves >= between(policy::smallHalves, policy::largeHalves) &&
           others >= between(policy::smallOthers, policy::largeOthers);
}

// Plain correlation's answer; probabilities are not known yet.
Estimate answerOf(const Clues& clues) {
    const Block& block = *clues.plain->block;
    return {.gauge = block.answer.gauge,
            .probability = {},
            .rows = clues.plain->block,
            .margins = block.margins,
            .similarity = block.unit,
            .agreement = agreement(block.ofHalf[0], block.ofHalf[1]),
            .statistic = "correlation",
            .scores = nullptr,
            .placedByGains = false};
}

}  // namespace

std::optional<Estimate> betterPlain(const Clues& clues, const Estimate& atHand, const Progress& progress) {
    if (!clues.plain) return std::nullopt;
    progress.report("comparing with plain correlation", 0, 1);
    Estimate plain = answerOf(clues);
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
    const double few = fewness(site.rows, d);
    const bool believable = plain.expected() >= estimate - policy::muchLess || estimate < policy::hopeless ||
                            (few > 0 && (plain.expected() >= 1 - few * (1 - policy::atLeastHalf) ||
                                         few * difference > (1 - few) * policy::clearWin));
    if (!less || !believable) return std::nullopt;
    for (std::size_t i = 0; i < d; ++i) {
        const bool same = sameAt(i, plain.gauge, atHand.gauge);
        plain.probability[i] = std::max(plain.probability[i], same ? atHand.probability[i] : atHand.probability[i] / 2);
    }
    return plain;
}

}  // namespace regauge

#include "match/second_opinion.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "match/confidence.hpp"
#include "numeric/residual.hpp"

namespace regauge {
namespace {

constexpr double muchLess = 0.20;  // plain correlation must not be so much less sure than the answer at hand,
constexpr double hopeless = 0.40;  // unless the answer at hand has no better estimate than this,
constexpr double atLeastHalf =
    0.50;  // or rows are few, where whitened estimates are too high, and it is this sure or explains more

// Bits a channel that an answer by chance does not explain. Of few channels one is soon like another.
constexpr double explainsOfMany = 0.22;
double explains(std::size_t d) {
    return std::max(explainsOfMany, 32 / (static_cast<double>(d) * std::sqrt(static_cast<double>(d))));
}

bool areFew(std::uint64_t rows, std::size_t d) { return rows <= 2 * d; }

// By how many unexplained bits a channel (residual.hpp) plain correlation must win. Where it explains much, noise is
// light and alike in all channels, and it need only be as good, or about as good; an answer that is all but certain
// falls to a clear win only. In between a win counts once it cannot be chance: in all the numbers of the rows together
// it is some ten units of log-likelihood. Where rows are few it need only win; where they do not even span the channels
// it may lose by a little, as what whitening fits there is partly chance, and its estimate too high.
double winningBits(double explained, double estimate, std::size_t d, std::uint64_t rows) {
    constexpr double clear = 0.004, together = 30;
    if (rows <= d) return explained >= explains(d) && estimate < 0.99 ? -0.060 : 0;
    if (estimate >= 0.998) return 0.010;
    if (explained >= 0.30) return estimate >= 0.99 ? -0.003 : -0.020;
    if (areFew(rows, d)) return 0;
    if (explained >= 0.10) return std::min(clear, together / (static_cast<double>(d) * static_cast<double>(rows)));
    return explained > 0 ? clear : std::numeric_limits<double>::infinity();
}

// Halves also agree on what is reproducible and wrong, so that alone is no reason to believe them.
// explained: bits a channel. halves: their agreement. others: the agreement of all rows with the answer at hand, and
// estimate: how far that one is believed.
bool isCredible(double explained, double halves, double others, double estimate, std::size_t d, std::uint64_t rows) {
    if (others >= 0.8 && estimate >= 0.8 && d >= 16) return true;  // nearly the same answer
    const double enough = explains(d);
    if (explained >= enough) return true;
    if (d <= 32) {
        const bool unanimous = d >= 16 && halves >= 0.9 && others >= 0.9;
        return explained >= std::max(explainsOfMany, unanimous ? 0 : 100 / static_cast<double>(d * d)) &&
               halves >= 0.3 && others >= 0.5;
    }
    const bool tooFewToBeReproduciblyWrong = areFew(rows, d) && halves >= 0.45;
    if (tooFewToBeReproduciblyWrong)
        return explained * std::max(1.0, static_cast<double>(d) / static_cast<double>(rows)) >=
               enough / 2;  // rows span no more
    return explained >= enough / 2 && halves >= 0.35 && others >= 0.35;
}

}  // namespace

SecondOpinion askPlainCorrelation(Witness& witness, const GainMatch* gains, const Gauge& atHand, double estimate,
                                  const MatchOptions& options, const Progress& progress) {
    progress.report("comparing with plain correlation", 0, 1);
    Block plain = makeBlock(std::move(witness.cross), options.group, options.threads, progress);
    SecondOpinion opinion{.block = {},
                          .answer = plain.answer,
                          .margins = plain.margins,
                          .agreement = agreement(plain.ofHalf[0], plain.ofHalf[1]),
                          .confidence = {}};
    if (gains != nullptr) {
        ScoreMatrix z = inSpreads(plain);
        const ScoreMatrix rowsOnly = z;
        addGains(z, *gains);
        opinion.answer = solve(z, options.group, options.threads, progress);
        opinion.margins = margins(rowsOnly, opinion.answer.gauge, options.group, options.threads);
    }
    const std::size_t d = atHand.d();
    const ScoreMatrix whole = sum(plain.halves);
    const auto rest = [&](const Gauge* gauge) {
        return unexplained(whole.value, witness.gramX, witness.gramY, gauge, options.threads);
    };
    const double here = rest(&opinion.answer.gauge), explained = rest(nullptr) - here;
    const double difference = rest(&atHand) - here;
    const bool less = difference > winningBits(explained, estimate, d, witness.rows);
    const bool credible =
        isCredible(explained, opinion.agreement, agreement(opinion.answer.gauge, atHand), estimate, d, witness.rows);
    opinion.confidence = confidenceFromHalves(opinion.answer.gauge, plain.ofHalf[0], plain.ofHalf[1], credible);
    const double sureness = mean(opinion.confidence);
    const bool believable = sureness >= estimate - muchLess || estimate < hopeless ||
                            (areFew(witness.rows, d) && (sureness >= atLeastHalf || difference > 0));
    opinion.better = less && believable;
    opinion.block = std::move(plain);
    return opinion;
}

}  // namespace regauge

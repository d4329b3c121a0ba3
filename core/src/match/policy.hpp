// Every constant of matching and tracing that is a choice: its unit, where it was found, and what breaks without it.
// Tables named here are in experiments/reference/README.md and docs/confidence.md. What follows from mathematics (the
// median of a squared normal number, say) stays where it is used.
#pragma once

#include <cstddef>
#include <cstdint>

#include "regauge/alignment.hpp"

namespace regauge::policy {

// ---- Verdict (confidence.hpp): estimated shares of right channels, 0 to 1. Table "Verdicts".
inline constexpr double aligned = 0.90;             // at least: of d = 576 said aligned none was below 85 % right
static_assert(aligned == leastAligned);             // of compositions
inline constexpr double unrelated = 0.48;           // below: and more where channels are few,
inline constexpr double unrelatedByWidth = 3;       // over d, as of few channels one is soon like another: 13 of 1000
                                                    // independent pairs at each of ten widths were partial without it
inline constexpr double unrelatedOfFewRows = 0.60;  // where rows are few: there chance alone reaches 0.58; up to
                                                    // fittedWidth, and less and less up to twice as many channels,
                                                    // where chance reaches 0.15
inline constexpr double fewRows = 2;  // rows a channel, at most, that count as few; less and less up to twice as many

// ---- The fitted confidence (confidence.cpp): limits of its features. Coefficients: calibrate.py.
inline constexpr double leastMargin = -2, mostMargin = 4;              // spreads; beyond them a margin says no more
inline constexpr double leastMeanMargin = -0.8, mostMeanMargin = 1.5;  // spreads, of all channels together
inline constexpr double mostAdvantage = 3;                             // spreads; trained pairs above it are all right
inline constexpr double besideLogarithm = 0.1;                         // spreads; log(this + margin) is finite at 0
inline constexpr double fewChannels = 2, manyChannels = 64, veryFewChannels = 16;
// Means over few channels scatter more, and among very few a wrong answer is often better than any other: from a mean
// margin is taken fewChannels (1 / sqrt d - 1 / sqrt manyChannels), and sqrt(veryFewChannels / d) as often below that.
// Without it independent pairs at d = 8 to 24 are called aligned.
inline constexpr double beyondDoubt = 5, beyondDoubtByMargin = 2;
// logistic(first + second margin in spreads): of 230 704 channels beyond doubt 4 were wrong, all below a margin
// of 1.01; the common fit said 0.9995 a hop at most, so that sixty right hops made 0.97.
inline constexpr double plainMargin = 1;  // spreads; a plain answer is beyond doubt where every channel has as much, as
                                          // copies of a channel, which nothing else finds there, have none

// ---- Fusion (fusion.cpp)
inline constexpr double usefulStructure = 0.10;  // of the largest squared advantage: sites with less mislead refinement
inline constexpr float duplicate = 0.999F;       // |r| of two channels of one side from which none can tell them apart

// ---- How many weights are asked (clues.cpp)
inline constexpr std::size_t firstProbes = 8;      // weights before the first look at what all of them can reach
inline constexpr double hopelessAdvantage = 0.25;  // spreads; what they can reach, beside the rows, is below it.
                                                   // Without this SmolLM2 and a random one take 64 s of CPU time

// ---- Refinement (refine.cpp, stages.cpp)
inline constexpr int refineRounds = 12;      // at most; answers repeat by then on all pairs of the table "Refinement"
inline constexpr int refineRamp = 4;         // rounds until the fit counts in full: early answers are not to be trusted
inline constexpr double keepRefined = 0.30;  // estimate from which the refined answer stands. Of 1188 trained pairs 19
                                             // gain up to 70 points against 0.40, 3 lose up to 6

// ---- The rotation null (rotation_null.cpp)
inline constexpr int rotationRounds = 3;  // of signs, permutation and transforms: after one, rows outside the first
                                          // transform are hardly mixed
inline constexpr std::uint64_t rotationSeed = 1;  // any
inline constexpr int nullRounds = 4;              // times that the channels in doubt are asked among themselves
inline constexpr std::size_t fewestInNull = 8;    // channels; fewer say nothing of each other, nor of a plain answer,
inline constexpr double even = 0.5;               // which is then no likelier than this: unrelated pairs of 2 and 4
                                                  // channels came to 0.9 and 1 (docs/confidence.md)
inline constexpr std::size_t fewestNullScores = 600;  // so that a rank is known to a few in a thousand
inline constexpr std::size_t nullSolutions = 3;       // rotations at least, whatever d
inline constexpr double nullTail = 0.5;               // ranks above it are those of wrong channels only
inline constexpr double settled = 0.9;  // probability from which a channel is fixed before the rest is asked again

// How much the null counts beside the fitted confidence, and beside the halves of a plain answer, which is judged in
// scores that are not its own. Without it for few channels, a pair of d = 64 with a third of its channels replaced is
// called aligned at 66 % right (the page's gallery).
inline constexpr double ofNull = 1.0 / 2, ofNullForPlain = 1.0 / 3;

// ---- The posterior (posterior.cpp): rounds until it stands still, and what is still.
inline constexpr int posteriorRounds = 25;         // of strengths and pairs, at most; most are settled after ten
inline constexpr int strengthRounds = 3;           // of strengths for each of pairs
inline constexpr int balanceRounds = 8;            // of rows and columns, which go on from where they were
inline constexpr double settledStrengths = 0.003;  // of the channels, that pass any score
inline constexpr double mostLikely = 1e25;         // times likelier: products stay finite
inline constexpr double fittedWidth = 128;  // d up to which the fitted confidence, of d = 64 and 128, is heard instead;
                                            // less and less up to twice as many. Strengths of few channels are known
                                            // poorly (unrelated pairs at d = 8 to 16 come to 0.4 and more without it),
                                            // and of many the fitted one is too sure (d = 576: 92 % said, 34 % right)
inline constexpr int voteRounds = 8;        // in which channels vote for others as much as they are believed
inline constexpr double voteGain = 0.002;   // of the channels; less is not asked again

// ---- Gains (gain_scores.hpp), alone or together with rows (docs/confidence.md, "Gains and rows together").
inline constexpr double decisiveGains = 0.30;  // agreement of their halves below which they do not decide what rows
                                               // leave open
inline constexpr double confirmedGains = 5;  // channels; of unrelated gains halves agree on one on average, whatever d
                                             // (as a random permutation has fixed points), on five once in 270
inline constexpr double pairedRows = 3.1;    // standard deviations; chance passes them once in 1000. Below, rows of
                                             // both sides need not be the same tokens: votes then give all signs
                                             // or all of them the other way, and are sure of either
inline constexpr double unconfirmedGains = 0.1;    // agreement below which gains alone say nothing
inline constexpr double farthestGains = 9;         // squared spreads beyond which two gains are simply different
inline constexpr double constantGains = 1e-6;      // spread of a vector that was never trained
inline constexpr double leastGainVariance = 1e-9;  // squared spreads of the matched pairs: equal gains are not infinite

// ---- Plain correlation beside the whitened answer (plain.cpp). Bits are bits a channel (numeric/residual.hpp).
inline constexpr std::size_t largestPlain = 4096;  // d; beyond it, its correlations take more memory than it is worth
inline constexpr double muchLess = 0.20;     // plain correlation must not be so much less sure than the answer at hand,
inline constexpr double hopeless = 0.40;     // unless the answer at hand has no better estimate than this,
inline constexpr double atLeastHalf = 0.50;  // or rows are few, where whitened estimates are too high, and it is this
                                             // sure or explains more
// Bits that an answer by chance does not explain: 1.18 at d = 8, 0.60 at 12, 0.42 at 16, 0.27 at 24, 0.18 at 32 for
// most of 3000 independent pairs.
inline constexpr double explains = 0.22, explainsByWidth = 32;  // and the latter over d^1.5
inline constexpr double explainsWithHalves = 0.5;               // as much of it is enough where the halves agree
// Bits by which plain correlation must win, by how much it explains and how sure the other is. Trained pairs lose up to
// 5 points with less (45 of 883), drifted synthetic ones with more (99.0 to 98.7 %).
inline constexpr double allButCertain = 0.998, clearWin = 0.010;  // an answer so sure falls to so clear a win only
inline constexpr double explainsMuch = 0.30;                      // bits: noise is light and alike in all channels, and
inline constexpr double certain = 0.99, asGood = -0.003, aboutAsGood = -0.020;  // it need only be as good, or about so
inline constexpr double explainsSome = 0.10, someWin = 0.004;  // bits: in between, a win that cannot be chance counts:
inline constexpr double togetherWin = 30;                      // units of log-likelihood in all numbers of the rows
inline constexpr double fewRowsLoss = -0.060;  // where rows do not span the channels: what whitening fits is chance too
// Agreement of halves, and with the answer at hand, from which a plain answer is credible that explains less.
inline constexpr double nearlySame = 0.8, nearlySure = 0.8;
inline constexpr std::size_t fewestNearlySame = 16;  // channels
inline constexpr double smallWidth = 32;  // d up to which chance explains more, and less and less up to twice as many:
inline constexpr double smallHalves = 0.3, smallOthers = 0.5, unanimous = 0.9,
                        explainsSmall = 100;  // the last over d^2
inline constexpr double fewRowsHalves = 0.45, largeHalves = 0.35, largeOthers = 0.35;
inline constexpr double bothHalves = 0.97;  // of channels on which the halves agree, measured
inline constexpr double allOfHalf = 1.1;    // times the root of the halves' agreement: all rows are right more often

// ---- Massive rows (massive_rows.cpp). Table "Massive rows".
inline constexpr double farBetter = 1.0 / 8;  // than chance, in squared distances, times the estimate: the less rows
                                              // are believed, the better a fit must be
inline constexpr double sameLevel = 1.0 / (1 << 20);  // of chance: levels that differ by less are the same
inline constexpr std::size_t fewestAsked = 16;        // channels; otherwise the surest quarter
inline constexpr std::size_t askedShare = 4;          // one in so many
inline constexpr double likelyRight = 0.5;            // and every channel from this probability on
inline constexpr double inDoubt = 0.5;  // what a channel in doubt scores where it is matched right, in medians of all
inline constexpr double slack = 0.03;  // of the channels, that a new answer may seem to lose: what rows say of channels
                                       // in doubt is too high. Without it three massive channels in a hundred take
                                       // 2 points from right answers

// ---- Trace (trace.cpp): estimated shares of right channels.
inline constexpr double weakHop = 0.995;       // a hop below this is worth skipping over or around,
inline constexpr double fairHop = 0.9995;      // and then one below this
inline constexpr double goodTrace = 0.998;     // and is tried while the whole path is estimated below this
inline constexpr double fairRoute = 0.5;       // of the best: routes estimated below it have no vote
inline constexpr double confirming = 0.5;      // below it routes may well be wrong alike, and confirm nothing
inline constexpr double smallestShare = 1e-6;  // keeps logarithms finite
inline constexpr double surestVote = 1e-4;     // from 0 and 1: keeps log odds finite
inline constexpr double loneVote = 4,
                        leastVote = 0.01;       // log odds added to every vote, and at least: a weak one counts
inline constexpr std::size_t shortStretch = 7;  // checkpoints of weak hops of which all pairs are tried;
inline constexpr std::size_t longestSkip = 3;   // of more of them, those that jump so far at most
inline constexpr std::size_t pairsACheckpoint = 4, pairsBeside = 32;  // matched at most: the cost of a trace is linear

}  // namespace regauge::policy

// Every constant of matching that is a choice: its unit, where it was found, and what breaks without it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace regauge::policy {

// The rotation null (rotation_null.hpp).
inline constexpr int rotationRounds =
    3;  // of signs, permutation and transforms: after one, rows outside the first transform are hardly mixed
inline constexpr std::uint64_t rotationSeed = 1;      // any
inline constexpr int nullRounds = 4;                  // times that the channels in doubt are asked among themselves
inline constexpr std::size_t fewestInNull = 8;        // channels; fewer say nothing of each other
inline constexpr std::size_t fewestNullScores = 600;  // so that a rank is known to a few in a thousand
inline constexpr double settled = 0.9;  // probability from which a channel is fixed before the rest is asked again

// How much the null counts beside the fitted estimate. That one is too sure on models larger than those it was fitted
// to (real LLM, d = 576: 94 % said, 59 % right), the null is too modest where rows are few (35 % said); their mean is
// within nine points there (docs/confidence.md). A plain answer is judged in scores that are not its own, so the null
// counts less.
inline constexpr double ofNull = 1.0 / 2, ofNullForPlain = 1.0 / 3;

// Gains (gain_scores.hpp). Sure ones place the channels: at d = 576, with 61 vectors and 64 rows, 99 to 100 % right
// where both fused were 62 to 75 %.
inline constexpr double sureGains = 0.99;      // mean posterior from which they place the channels alone,
inline constexpr double confirmedGains = 0.7;  // and agreement of their halves: posteriors of few vectors are too high
inline constexpr double unconfirmedGains = 0.1;  // agreement of their halves below which gains alone say nothing
inline constexpr double leastRest = 1e-6;        // 1 - r^2 of a pair at least: what sums in single precision resolve

}  // namespace regauge::policy

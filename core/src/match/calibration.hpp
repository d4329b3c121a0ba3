// Written by experiments/reference/calibrate.py --write; do not edit.
//
// The logistic model of a channel's confidence (confidence.cpp has its features, reference.py the same in NumPy).
// Fitted to:
//   3222 pairs of the kinds below as the command itself described them, before calibrate.py did (245c280):
//   train.py's m128, s0, s1, s2 (forks, one run, unrelated ones with x128), `make experiments` (seeds 0 to 4), and
//   synthetic ones (true, few, bos, t3, independent, gauss, shuffled). Trained pairs had 64 rows and more. The
//   seed of the draws is not known. A refit to the 2328 pairs of calibrate.py (seed 21) differs a little
//   (experiments/reference/README.md).
#pragma once

namespace regauge::calibration {

inline constexpr double constant = 2.446;        // log odds
inline constexpr double ofFused = 0.77;          // a spread of the channel's margin in the fused scores
inline constexpr double ofFitted = 0.542;        // a spread of its margin in the refinement's fit
inline constexpr double ofMeanCombined = 1.084;  // the logarithm of the mean margin in scores and fit together
inline constexpr double ofMeanFused = 0.746;     // a spread of the mean margin in the fused scores
inline constexpr double ofMeanFitted = 1.933;    // a spread of the mean margin in the refinement's fit
inline constexpr double ofAdvantage = 1.174;     // the logarithm of the largest advantage
inline constexpr double ofHalves = 0.095;        // a half that gives the same answer for the channel
inline constexpr double ofAgreement = -2.427;    // the agreement of the halves

}  // namespace regauge::calibration

// What a gauge leaves unexplained of the target: decides between two answers when neither is beyond doubt.
#pragma once

#include <span>

#include "numeric/symmetric.hpp"
#include "regauge/gauge.hpp"

namespace regauge {

// Each target channel is predicted from its source channel alone, y_i = b_i x_i with b_i their correlation. R is what
// remains of the target's correlation matrix; the answer is log2 det(R + 1e-4 I) / d, in bits a channel: in every
// direction of the target, also those of little variance, how much smaller the rest is. Lower is better, and only
// differences between gauges of one site mean something. gauge nullptr: nothing is predicted, R is the target's own.
// cross [d x d]: of target channel (row) and source channel. gramX, gramY [d x d]: correlation matrices of source and
// target.
// Infinite where R is not positive definite to rounding.
double unexplained(std::span<const float> cross, const Symmetric& gramX, const Symmetric& gramY, const Gauge* gauge,
                   unsigned threads);

}  // namespace regauge

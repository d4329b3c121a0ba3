// Next-token distributions from logits.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace regauge {

// log softmax, in double.
inline std::vector<double> logProbabilities(std::span<const float> logits) {
    const double largest = *std::ranges::max_element(logits);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit - largest);
    std::vector<double> result;
    result.reserve(logits.size());
    for (const float logit : logits) result.push_back(logit - largest - std::log(sum));
    return result;
}

}  // namespace regauge

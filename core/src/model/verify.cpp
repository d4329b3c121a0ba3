#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "base/all_finite.hpp"
#include "model/log_probabilities.hpp"
#include "regauge/error.hpp"
#include "regauge/model.hpp"

namespace regauge {
namespace {

// KL(a || b) of the distributions that two rows of finite logits stand for, in nats.
double divergence(std::span<const float> a, std::span<const float> b) {
    const std::vector<double> logP = logProbabilities(a), logQ = logProbabilities(b);
    double sum = 0;
    for (std::size_t k = 0; k < logP.size(); ++k)
        if (const double p = std::exp(logP[k]); p > 0) sum += p * (logP[k] - logQ[k]);
    return sum;
}

std::ptrdiff_t mostLikely(std::span<const float> row) { return std::ranges::max_element(row) - row.begin(); }

}  // namespace

FunctionDifference verify(const Model& a, const Model& b, const std::vector<std::vector<std::int64_t>>& sequences,
                          const Progress& progress) {
    const std::size_t vocabulary = a.config().vocabulary;
    if (vocabulary != b.config().vocabulary)
        throw Error(
            ErrorCode::dimensionMismatch, "",
            "the vocabularies differ, " + std::to_string(vocabulary) + " and " + std::to_string(b.config().vocabulary));
    FunctionDifference difference;
    double klSum = 0;
    std::uint64_t sameTop = 0;
    for (std::size_t sequence = 0; sequence < sequences.size(); ++sequence) {
        progress.report("verifying", sequence, sequences.size());
        const std::vector<float> logitsA = a.logits(sequences[sequence]), logitsB = b.logits(sequences[sequence]);
        for (std::size_t at = 0; at < logitsA.size(); at += vocabulary) {
            const std::span<const float> rowA(&logitsA[at], vocabulary), rowB(&logitsB[at], vocabulary);
            for (std::size_t k = 0; k < vocabulary; ++k) {
                const double gap = std::fabs(static_cast<double>(rowA[k]) - rowB[k]);
                difference.maxLogitDifference =
                    std::isfinite(gap) ? std::max(difference.maxLogitDifference, gap) : INFINITY;
            }
            // A row with NaN or infinity stands for no distribution: it agrees with none.
            const bool finite = allFinite(rowA) && allFinite(rowB);
            const double kl = finite ? divergence(rowA, rowB) : INFINITY;
            klSum += kl;
            difference.maxKl = std::max(difference.maxKl, kl);
            sameTop += finite && mostLikely(rowA) == mostLikely(rowB) ? 1 : 0;
            ++difference.positions;
        }
    }
    if (difference.positions > 0) {
        difference.meanKl = klSum / static_cast<double>(difference.positions);
        difference.topAgreement = static_cast<double>(sameTop) / static_cast<double>(difference.positions);
    }
    return difference;
}

}  // namespace regauge

#include "match/refine.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "match/policy.hpp"
#include "numeric/linalg.hpp"

namespace regauge {
namespace {

// How far an answer's channel is to be believed, from 0 to 1. Algebraic rather than a logistic: a square root has the
// same bits everywhere.
double belief(double margin) { return 0.5 * (1 + margin / std::sqrt(1 + margin * margin)); }

void scale(ScoreMatrix& scores, double factor) {
    for (float& value : scores.value) value = static_cast<float>(factor * static_cast<double>(value));
}

// One structure's T, in spreads, and how well the present answer itself fits it.
double fit(const Structure& structure, const Gauge& gauge, const std::vector<double>& weight, unsigned threads,
           ScoreMatrix& t) {
    const std::size_t d = gauge.d();
    std::vector<std::uint32_t> place(d);  // perm^-1
    for (std::size_t k = 0; k < d; ++k) place[gauge.perm()[k]] = static_cast<std::uint32_t>(k);
    std::vector<float> carried(d * d);  // carried[k, j] = sign[k] weight[k] source[perm[k], j]
    structure.source.forRowBlocks([&](std::size_t first, std::size_t count, const float* rows) {
        for (std::size_t r = 0; r < count; ++r) {
            const std::size_t k = place[first + r];
            const auto factor = static_cast<float>(gauge.sign()[k] * weight[k]);
            for (std::size_t j = 0; j < d; ++j) carried[k * d + j] = factor * rows[r * d + j];
        }
    });
    t = ScoreMatrix{d, kernels::UnclearedVector<float>(d * d, 0.0F)};
    structure.target.forRowBlocks([&](std::size_t first, std::size_t count, const float* rows) {
        multiply(rows, carried.data(), &t.value[first * d], count, d, d, threads);
    });
    scale(t, 1 / spread(t, gauge, threads));
    double matched = 0, total = 0;
    for (std::size_t i = 0; i < d; ++i) {
        matched += weight[i] * gauge.sign()[i] * static_cast<double>(t.value[i * d + gauge.perm()[i]]);
        total += weight[i];
    }
    return total > 0 ? std::max(0.0, matched / total) : 0;
}

}  // namespace

Symmetric offDiagonal(const Symmetric& m, std::span<const std::uint8_t> constant) {
    const std::size_t d = constant.size();
    const auto counts = [&](std::size_t i, std::size_t j) { return i != j && !constant[i] && !constant[j]; };
    std::vector<float> size(d, 0.0F);
    m.forRowBlocks([&](std::size_t first, std::size_t count, const float* rows) {
        for (std::size_t i = first; i < first + count; ++i) {
            double squares = 0;
            for (std::size_t j = 0; j < d; ++j) {
                const float value = counts(i, j) ? rows[(i - first) * d + j] : 0.0F;
                squares += static_cast<double>(value) * value;
            }
            size[i] = squares > 0 ? static_cast<float>(1 / std::sqrt(std::sqrt(squares))) : 0.0F;
        }
    });
    Symmetric result(d);
    for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (counts(i, j)) result.lower(i)[j] = m.lower(i)[j] * (size[i] * size[j]);
    return result;
}

ScoreMatrix fitOf(const std::vector<Structure>& structures, const Gauge& gauge, const std::vector<double>& weight,
                  unsigned threads) {
    const std::size_t d = gauge.d();
    ScoreMatrix t{d, kernels::UnclearedVector<float>(d * d, 0.0F)}, one;
    bool any = false;
    for (const Structure& structure : structures) {
        const double share = fit(structure, gauge, weight, threads, one);
        if (share > 0) add(t, share, one), any = true;
    }
    if (!any) return {};
    scale(t, 1 / spread(t, gauge, threads));
    return t;
}

Refined refine(const ScoreMatrix& z, const Answer& first, const std::vector<Structure>& structures, Group group,
               unsigned threads, const Progress& progress) {
    const std::size_t d = z.d;
    Refined refined{first, z, {}};
    std::set<std::string> seen;
    for (int round = 0; round < policy::refineRounds; ++round) {
        progress.report("refining", static_cast<std::uint64_t>(round), policy::refineRounds);
        const Margins margin = margins(refined.combined, refined.answer.gauge, group, threads);
        std::vector<double> weight(d);
        for (std::size_t i = 0; i < d; ++i) weight[i] = belief(margin.matched[i] - margin.runnerUp[i]);
        ScoreMatrix t = fitOf(structures, refined.answer.gauge, weight, threads);
        if (t.value.empty()) break;
        refined.combined = z;
        add(refined.combined, std::min(1.0, static_cast<double>(round + 1) / policy::refineRamp), t);
        refined.fitted = std::move(t);
        refined.answer = solve(refined.combined, group, threads, progress);
        if (!seen.insert(refined.answer.gauge.fingerprint()).second) break;
    }
    return refined;
}

}  // namespace regauge

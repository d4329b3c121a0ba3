#include "score_matrix.hpp"

#include <algorithm>
#include <cmath>

#include "regauge/assignment.hpp"

namespace regauge {
namespace {

// 2^24 steps to 1, as fine as float32 and far below maxScore; fewer, by a power of two, where scores exceed 1.
float unitFor(const ScoreMatrix& scores) {
    float largest = 1;
    for (const float value : scores.value) largest = std::max(largest, std::fabs(value));
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0F, 25 - std::max(exponent, 1));
}

std::vector<std::int32_t> toIntegers(const ScoreMatrix& scores, Group group, bool negate, float unit) {
    std::vector<std::int32_t> integers(scores.value.size());
    for (std::size_t k = 0; k < integers.size(); ++k) {
        const float value = group == Group::signedPermutation ? std::fabs(scores.value[k]) : negate ? -scores.value[k] : scores.value[k];
        integers[k] = static_cast<std::int32_t>(value * unit);
    }
    return integers;
}

Answer read(const std::vector<std::int32_t>& integers, float unit, std::size_t d, const std::vector<std::uint32_t>& perm, std::vector<std::int8_t> sign) {
    std::vector<std::uint32_t> place(d);  // perm^-1
    for (std::size_t i = 0; i < d; ++i) place[perm[i]] = static_cast<std::uint32_t>(i);
    // The best of each row and of each column beside the match itself.
    constexpr std::int32_t none = INT32_MIN;
    std::vector<std::int32_t> rowBest(d, none), columnBest(d, none);
    for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < d; ++j) {
            if (perm[i] == j) continue;
            const std::int32_t score = integers[i * d + j];
            rowBest[i] = std::max(rowBest[i], score);
            columnBest[j] = std::max(columnBest[j], score);
        }
    Answer answer;
    answer.score.resize(d), answer.margin.resize(d);
    for (std::size_t i = 0; i < d; ++i) {
        const double matched = integers[i * d + perm[i]];
        const std::int32_t best = std::max(rowBest[i], columnBest[perm[i]]);
        answer.score[i] = matched / static_cast<double>(unit);
        answer.margin[i] = best == none ? answer.score[i] : (matched - best) / static_cast<double>(unit);
    }
    answer.gauge = Gauge(perm, std::move(sign), "match");
    return answer;
}

}  // namespace

Answer solve(const ScoreMatrix& scores, Group group, const Progress& progress) {
    const std::size_t d = scores.d;
    const float unit = unitFor(scores);
    std::vector<std::int32_t> integers = toIntegers(scores, group, false, unit);
    Assignment assignment = assign(integers, d, progress);
    std::vector<std::int8_t> sign(d, 1);
    if (group == Group::layernorm) {
        std::vector<std::int32_t> negated = toIntegers(scores, group, true, unit);
        Assignment other = assign(negated, d, progress);
        if (other.total > assignment.total) {
            integers.swap(negated);
            std::swap(assignment, other);
            std::ranges::fill(sign, std::int8_t{-1});
        }
    }
    if (group == Group::signedPermutation)
        for (std::size_t i = 0; i < d; ++i) {
            const float value = scores.value[i * d + assignment.column[i]];
            sign[i] = static_cast<std::int8_t>((value > 0) - (value < 0));
        }
    return read(integers, unit, d, assignment.column, std::move(sign));
}

double agreement(const Gauge& a, const Gauge& b) { return compare(a, b).both; }

}  // namespace regauge

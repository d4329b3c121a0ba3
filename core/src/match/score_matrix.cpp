#include "score_matrix.hpp"

#include <algorithm>
#include <cmath>

#include "regauge/assignment.hpp"

namespace regauge {
namespace {

// 2^24 steps to 1, as fine as float32 and far below maxScore; fewer, by a power of two, where scores exceed 1.
template <class Value>
float unitFor(const Value& value, std::size_t count) {
    float largest = 1;
    for (std::size_t k = 0; k < count; ++k) largest = std::max(largest, std::fabs(value(k)));
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0F, 25 - std::max(exponent, 1));
}

template <class Value>
std::vector<std::int32_t> toIntegers(const Value& value, std::size_t count, Group group, bool negate, float unit) {
    std::vector<std::int32_t> integers(count);
    for (std::size_t k = 0; k < count; ++k) {
        const float score = group == Group::signedPermutation ? std::fabs(value(k)) : negate ? -value(k) : value(k);
        integers[k] = static_cast<std::int32_t>(score * unit);
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

struct Solved {
    std::vector<std::int32_t> integers;  // what was assigned
    float unit;
    Assignment assignment;
    std::vector<std::int8_t> sign;
};

// value(k): the score at row k / d, column k % d.
template <class Value>
Solved solveValues(const Value& value, std::size_t d, Group group, const Progress& progress) {
    const float unit = unitFor(value, d * d);
    std::vector<std::int32_t> integers = toIntegers(value, d * d, group, false, unit);
    Assignment assignment = assign(integers, d, progress);
    std::vector<std::int8_t> sign(d, 1);
    if (group == Group::layernorm) {
        std::vector<std::int32_t> negated = toIntegers(value, d * d, group, true, unit);
        Assignment other = assign(negated, d, progress);
        if (other.total > assignment.total) {
            integers.swap(negated);
            std::swap(assignment, other);
            std::ranges::fill(sign, std::int8_t{-1});
        }
    }
    if (group == Group::signedPermutation)
        for (std::size_t i = 0; i < d; ++i) {
            const float matched = value(i * d + assignment.column[i]);
            sign[i] = static_cast<std::int8_t>((matched > 0) - (matched < 0));
        }
    return {std::move(integers), unit, std::move(assignment), std::move(sign)};
}

template <class Value>
Answer answerOf(const Value& value, std::size_t d, Group group, const Progress& progress) {
    Solved solved = solveValues(value, d, group, progress);
    return read(solved.integers, solved.unit, d, solved.assignment.column, std::move(solved.sign));
}

}  // namespace

Answer solve(const ScoreMatrix& scores, Group group, const Progress& progress) {
    return answerOf([&](std::size_t k) { return scores.value[k]; }, scores.d, group, progress);
}

Gauge solveGauge(const ScoreMatrix& scores, Group group, const Progress& progress) {
    Solved solved = solveValues([&](std::size_t k) { return scores.value[k]; }, scores.d, group, progress);
    return Gauge(std::move(solved.assignment.column), std::move(solved.sign), "match");
}

Answer solveSum(const ScoreMatrix& a, const ScoreMatrix& b, Group group, const Progress& progress) {
    return answerOf([&](std::size_t k) { return a.value[k] + b.value[k]; }, a.d, group, progress);
}

double agreement(const Gauge& a, const Gauge& b) { return compare(a, b).both; }

}  // namespace regauge

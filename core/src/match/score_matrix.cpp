#include "score_matrix.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "regauge/assignment.hpp"
#include "row_tasks.hpp"

namespace regauge {
namespace {

// 2^24 steps to 1, as fine as float32 and far below maxScore; fewer, by a power of two, where scores exceed 1.
template <class Value>
float unitFor(const Value& value, std::size_t d, unsigned threads) {
    // As bits floats without their sign order like integers, and compilers turn an integer maximum into vector code and a float maximum into a chain.
    std::vector<std::int32_t> largestOf(rowTasks(d), 0);
    forRowTasks(d, threads, [&](std::size_t task, std::size_t first, std::size_t last) {
        std::int32_t largest = 0;
        for (std::size_t k = first * d; k < last * d; ++k) largest = std::max(largest, std::bit_cast<std::int32_t>(value(k)) & 0x7fffffff);
        largestOf[task] = largest;
    });
    float largest = 1;
    for (const std::int32_t bits : largestOf) largest = std::max(largest, std::bit_cast<float>(bits));
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0F, 25 - std::max(exponent, 1));
}

// value(k): the score at row k / d, column k % d.
template <class Value>
Answer answerOf(const Value& value, std::size_t d, Group group, unsigned threads, const Progress& progress) {
    const float unit = unitFor(value, d, threads);
    kernels::UnclearedVector<std::int32_t> integers(d * d);
    float orientation = 1;
    const auto integer = [&](std::size_t k) {
        return static_cast<std::int32_t>((group == Group::signedPermutation ? std::fabs(value(k)) : orientation * value(k)) * unit);
    };
    const auto assigned = [&] {
        forRowTasks(d, threads, [&](std::size_t, std::size_t first, std::size_t last) {
            for (std::size_t k = first * d; k < last * d; ++k) integers[k] = integer(k);
        });
        return assign(integers, d, progress);
    };
    Assignment assignment = assigned();
    if (group == Group::layernorm) {
        orientation = -1;
        Assignment negated = assigned();
        if (negated.total > assignment.total)
            assignment = std::move(negated);
        else
            orientation = 1;
    }
    Answer answer;
    std::vector<std::int8_t> sign(d, static_cast<std::int8_t>(orientation));
    for (std::size_t i = 0; i < d; ++i) {
        const std::size_t matched = i * d + assignment.column[i];
        if (group == Group::signedPermutation) sign[i] = static_cast<std::int8_t>((value(matched) > 0) - (value(matched) < 0));
        answer.score.push_back(integer(matched) / static_cast<double>(unit));
    }
    answer.gauge = Gauge(std::move(assignment.column), std::move(sign), "match");
    return answer;
}

}  // namespace

Answer solve(const ScoreMatrix& scores, Group group, unsigned threads, const Progress& progress) {
    return answerOf([&](std::size_t k) { return scores.value[k]; }, scores.d, group, threads, progress);
}

Answer solveSum(const ScoreMatrix& a, const ScoreMatrix& b, Group group, unsigned threads, const Progress& progress) {
    return answerOf([&](std::size_t k) { return a.value[k] + b.value[k]; }, a.d, group, threads, progress);
}

double agreement(const Gauge& a, const Gauge& b) { return compare(a, b).both; }

}  // namespace regauge

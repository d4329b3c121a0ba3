#include "scores/score_matrix.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "regauge/assignment.hpp"
#include "scores/row_tasks.hpp"

namespace regauge {
namespace {

// 2^24 steps to 1, as fine as float32 and far below maxScore; fewer, by a power of two, where scores exceed 1.
float unitFor(const ScoreRows& scores, unsigned threads) {
    // As bits floats without their sign order like integers, and compilers turn an integer maximum into vector code and
    // a float maximum into a chain.
    std::vector<std::int32_t> largestOf(rowTasks(scores.d()), 0);
    forRowTasks(scores.d(), threads, [&](std::size_t task, std::size_t first, std::size_t last) {
        std::vector<float> room;
        std::int32_t largest = 0;
        for (std::size_t i = first; i < last; ++i) {
            const float* row = scores.row(i, room);
            for (std::size_t j = 0; j < scores.d(); ++j)
                largest = std::max(largest, std::bit_cast<std::int32_t>(row[j]) & 0x7fffffff);
        }
        largestOf[task] = largest;
    });
    float largest = 1;
    for (const std::int32_t bits : largestOf) largest = std::max(largest, std::bit_cast<float>(bits));
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0F, 25 - std::max(exponent, 1));
}

}  // namespace

Answer solve(const ScoreRows& scores, Group group, unsigned threads, const Progress& progress) {
    const std::size_t d = scores.d();
    const float unit = unitFor(scores, threads);
    kernels::UnclearedVector<std::int32_t> integers(d * d);
    float orientation = 1;
    const auto integer = [&](float score) {
        return static_cast<std::int32_t>((group == Group::signedPermutation ? std::fabs(score) : orientation * score) *
                                         unit);
    };
    const auto assigned = [&] {
        forRowTasks(d, threads, [&](std::size_t, std::size_t first, std::size_t last) {
            std::vector<float> room;
            for (std::size_t i = first; i < last; ++i) {
                const float* row = scores.row(i, room);
                for (std::size_t j = 0; j < d; ++j) integers[i * d + j] = integer(row[j]);
            }
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
        const float matched = scores.at(i, assignment.column[i]);
        if (group == Group::signedPermutation) sign[i] = static_cast<std::int8_t>((matched > 0) - (matched < 0));
        answer.score.push_back(integer(matched) / static_cast<double>(unit));
    }
    answer.gauge = Gauge(std::move(assignment.column), std::move(sign), "match");
    return answer;
}

double agreement(const Gauge& a, const Gauge& b) { return compare(a, b).both; }

}  // namespace regauge

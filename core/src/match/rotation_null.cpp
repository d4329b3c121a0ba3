#include "match/rotation_null.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "match/policy.hpp"
#include "regauge/random_gauge.hpp"
#include "scores/row_tasks.hpp"

namespace regauge {
namespace {

// Rows [first, first + count), count a power of two, by the orthonormal Walsh-Hadamard matrix.
void hadamard(ScoreMatrix& m, std::size_t first, std::size_t count) {
    float* const rows = &m.value[first * m.d];
    for (std::size_t half = 1; half < count; half *= 2)
        for (std::size_t start = 0; start < count; start += 2 * half)
            for (std::size_t i = start; i < start + half; ++i) {
                float *a = rows + i * m.d, *b = a + half * m.d;
                for (std::size_t j = 0; j < m.d; ++j) {
                    const float sum = a[j] + b[j], difference = a[j] - b[j];
                    a[j] = sum, b[j] = difference;
                }
            }
    const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(count)));
    for (std::size_t k = 0; k < count * m.d; ++k) rows[k] *= scale;
}

// Q m: signs and a permutation of the rows, then a transform over the first and over the last p rows, p the largest
// power of two that there is.
ScoreMatrix rotated(const ScoreMatrix& m, RandomGauges& random) {
    const std::size_t p = std::bit_floor(m.d);
    ScoreMatrix one = m, next{m.d, kernels::UnclearedVector<float>(m.d * m.d)};
    for (int round = 0; round < policy::rotationRounds; ++round) {
        const Gauge gauge = random.next(m.d);
        for (std::size_t i = 0; i < m.d; ++i) {
            const float* row = &one.value[gauge.perm()[i] * m.d];
            const auto sign = static_cast<float>(gauge.sign()[i]);
            for (std::size_t j = 0; j < m.d; ++j) next.value[i * m.d + j] = sign * row[j];
        }
        hadamard(next, 0, p);
        if (p < m.d) hadamard(next, m.d - p, p);
        std::swap(one, next);
    }
    return one;
}

// 1 - local false discovery rate of each score, given scores of the null (sorted here): the share of null among the
// scores from the upper half of their ranks in the null, the density of ranks as the least concave majorant of their
// distribution (densities of right answers fall with the rank).
std::vector<double> discoveries(const std::vector<double>& scores, std::vector<double> null) {
    std::ranges::sort(null);
    const auto ofNull = static_cast<double>(null.size()), count = static_cast<double>(scores.size());
    std::vector<double> rank;  // the share of the null that is at least as large
    for (const double score : scores)
        rank.push_back(std::max(1.0, static_cast<double>(null.end() - std::ranges::lower_bound(null, score))) / ofNull);
    const auto upper = static_cast<double>(std::ranges::count_if(rank, [](double u) { return u > policy::nullTail; }));
    double shareOfNull = std::min(1.0, (upper + std::sqrt(upper) + 1) / count / (1 - policy::nullTail));
    std::vector<double> sorted = rank;
    std::ranges::sort(sorted);
    struct Point {
        double x, y;
    };
    std::vector<Point> hull{{0, 0}};
    const auto slope = [](const Point& a, const Point& b) { return (b.y - a.y) / (b.x - a.x); };
    for (std::size_t k = 0; k < sorted.size(); ++k) {
        if (k + 1 < sorted.size() && sorted[k + 1] == sorted[k]) continue;
        const Point next{sorted[k] + 1 / count, static_cast<double>(k + 1) / count};
        while (hull.size() > 1 && slope(hull[hull.size() - 2], hull.back()) <= slope(hull.back(), next))
            hull.pop_back();
        hull.push_back(next);
    }
    std::vector<double> result;
    for (const double u : rank) {
        const auto right = std::ranges::lower_bound(hull, u + 1 / count, {}, &Point::x);
        const std::size_t k =
            std::clamp<std::size_t>(static_cast<std::size_t>(right - hull.begin()), 1, hull.size() - 1);
        const double density = std::max(slope(hull[k - 1], hull[k]), 1e-9);
        result.push_back(std::clamp(1 - shareOfNull / density, 0.0, 1.0));
    }
    return result;
}

// Channels matched wrong compete for the partners that right ones leave: the null is that of so many of the least sure.
std::vector<std::size_t> leastSure(const std::vector<std::size_t>& left, const std::vector<double>& confidence) {
    double believed = 0;
    for (const std::size_t i : left) believed += std::max(0.0, 2 * confidence[i] - 1);  // in doubt is not believed
    std::vector<std::size_t> asked = left;
    std::ranges::stable_sort(asked, {}, [&](std::size_t i) { return confidence[i]; });
    asked.resize(
        std::max(std::min(policy::fewestInNull, left.size()), left.size() - static_cast<std::size_t>(believed)));
    return asked;
}

// What the asked channels and their partners score among themselves, matches on the diagonal and positive.
ScoreMatrix among(const std::vector<std::size_t>& asked, const ScoreRows& scores, const Gauge& gauge) {
    const std::size_t m = asked.size();
    ScoreMatrix block{m, kernels::UnclearedVector<float>(m * m)};
    for (std::size_t i = 0; i < m; ++i)
        for (std::size_t j = 0; j < m; ++j)
            block.value[i * m + j] =
                static_cast<float>(gauge.sign()[asked[i]]) * scores.at(asked[i], gauge.perm()[asked[j]]);
    return block;
}

}  // namespace

std::vector<double> rotationConfidence(const ScoreRows& scores, const Gauge& gauge, Group group, unsigned threads,
                                       const Progress& progress) {
    std::vector<double> confidence(gauge.d(), 0.0);
    std::vector<std::size_t> left;
    for (std::size_t i = 0; i < gauge.d(); ++i)
        if (gauge.sign()[i] != 0 && scores.at(i, gauge.perm()[i]) != 0) left.push_back(i);
    // In an order and with signs of their own, so that the same models in other coordinates are judged alike.
    const auto matchedAt = [&](std::size_t i) {
        return gauge.sign()[i] * static_cast<double>(scores.at(i, gauge.perm()[i]));
    };
    std::ranges::stable_sort(left, std::ranges::greater{}, matchedAt);
    RandomGauges random(policy::rotationSeed);
    for (int round = 0; round < policy::nullRounds && left.size() >= policy::fewestInNull; ++round) {
        const ScoreMatrix block = among(leastSure(left, confidence), scores, gauge);
        std::vector<double> matched, null;
        for (const std::size_t i : left) matched.push_back(matchedAt(i));
        while (null.size() < policy::fewestNullScores || null.size() < policy::nullSolutions * block.d) {
            const std::vector<double> ofOne = solve(rotated(block, random), group, threads, progress).score;
            null.insert(null.end(), ofOne.begin(), ofOne.end());
        }
        const std::vector<double> found = discoveries(matched, std::move(null));
        std::vector<std::size_t> doubtful;
        for (std::size_t i = 0; i < left.size(); ++i) {
            confidence[left[i]] = found[i];
            if (found[i] <= policy::settled) doubtful.push_back(left[i]);
        }
        left = std::move(doubtful);
    }
    return confidence;
}

}  // namespace regauge

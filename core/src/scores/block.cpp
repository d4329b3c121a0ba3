#include "scores/block.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "scores/row_tasks.hpp"

namespace regauge {
namespace {

// Where nothing but the matches is left (a model against itself, whitened), chance is not zero but unknown.
constexpr double smallestSpread = 1e-6;

// What decides between candidates: the size of an entry, or the entry itself where signs are not free.
float strength(float value, Group group) { return group == Group::permutation ? value : std::fabs(value); }
float signOf(float value, Group group) { return group != Group::permutation && value < 0 ? -1.0F : 1.0F; }

// The two strongest entries of every line (a row, or a column) of a matrix: their places across the line.
struct Winners {
    std::vector<std::uint32_t> first, second;
};

Winners rowWinners(const ScoreMatrix& scores, Group group) {
    const std::size_t d = scores.d;
    Winners winners{std::vector<std::uint32_t>(d), std::vector<std::uint32_t>(d)};
    for (std::size_t i = 0; i < d; ++i) {
        const float* row = &scores.value[i * d];
        float best = -2, next = -2;
        for (std::size_t j = 0; j < d; ++j) {
            const float s = strength(row[j], group);
            if (s <= next) continue;
            if (s > best)
                next = best, winners.second[i] = winners.first[i], best = s,
                winners.first[i] = static_cast<std::uint32_t>(j);
            else
                next = s, winners.second[i] = static_cast<std::uint32_t>(j);
        }
    }
    return winners;
}

Winners columnWinners(const ScoreMatrix& scores, Group group) {
    const std::size_t d = scores.d;
    Winners winners{std::vector<std::uint32_t>(d), std::vector<std::uint32_t>(d)};
    std::vector<float> best(d, -2.0F), next(d, -2.0F);
    for (std::size_t i = 0; i < d; ++i) {
        const float* row = &scores.value[i * d];
        for (std::size_t j = 0; j < d; ++j) {
            const float s = strength(row[j], group);
            if (s <= next[j]) continue;
            if (s > best[j])
                next[j] = best[j], winners.second[j] = winners.first[j], best[j] = s,
                winners.first[j] = static_cast<std::uint32_t>(i);
            else
                next[j] = s, winners.second[j] = static_cast<std::uint32_t>(i);
        }
    }
    return winners;
}

// Sums of squares row by row, then of the rows: one order, whatever the threads. Each row is a chain of additions, so
// four of them are summed at a time.
double squares(const ScoreRows& scores, unsigned threads) {
    constexpr std::size_t together = 4;
    const std::size_t d = scores.d();
    std::vector<double> ofRow(d);
    forRowTasks(d, threads, [&](std::size_t, std::size_t first, std::size_t last) {
        std::array<std::vector<float>, together> room;
        for (std::size_t i = first; i < last; i += together) {
            std::array<const float*, together> row;
            for (std::size_t r = 0; r < together; ++r) row[r] = scores.row(std::min(i + r, last - 1), room[r]);
            std::array<double, together> sum{};
            for (std::size_t j = 0; j < d; ++j)
                for (std::size_t r = 0; r < together; ++r) sum[r] += static_cast<double>(row[r][j]) * row[r][j];
            for (std::size_t r = 0; r < together; ++r) ofRow[std::min(i + r, last - 1)] = sum[r];
        }
    });
    double total = 0;
    for (const double row : ofRow) total += row;
    return total;
}

double rootMeanSquare(double squaresOfAll, double squaresOfMatched, std::size_t d) {
    if (d < 2) return 1;
    const double rest = std::max(squaresOfAll - squaresOfMatched, 0.0);
    return std::max(std::sqrt(rest / (static_cast<double>(d) * static_cast<double>(d - 1))), smallestSpread);
}

float largestOf(std::span<const float> values, float none) {
    std::array<float, 8> largest;  // of every eighth value: one alone would be a chain of comparisons
    largest.fill(none);
    std::size_t j = 0;
    for (; j + largest.size() <= values.size(); j += largest.size())
        for (std::size_t r = 0; r < largest.size(); ++r) largest[r] = std::max(largest[r], values[j + r]);
    for (; j < values.size(); ++j) largest[0] = std::max(largest[0], values[j]);
    return *std::ranges::max_element(largest);
}

Margins marginsIn(double unit, const ScoreRows& scores, const Gauge& gauge, Group group, unsigned threads) {
    const std::size_t d = gauge.d();
    constexpr float none = -1e30F;
    const float orientation =
        d > 0 ? static_cast<float>(gauge.sign()[0]) : 1.0F;  // one sign for all, unless signs are free
    std::vector<float> row(d, none), column(d, none);
    std::vector<std::vector<float>> columnOf(rowTasks(d), column);  // by task
    forRowTasks(d, threads, [&](std::size_t task, std::size_t first, std::size_t last) {
        std::vector<float> room, strengths(d);
        float* best = columnOf[task].data();
        for (std::size_t i = first; i < last; ++i) {
            const float* values = scores.row(i, room);
            for (std::size_t j = 0; j < d; ++j)
                strengths[j] = group == Group::signedPermutation ? std::fabs(values[j]) : orientation * values[j];
            strengths[gauge.perm()[i]] = none;
            for (std::size_t j = 0; j < d; ++j) best[j] = std::max(best[j], strengths[j]);
            row[i] = largestOf(strengths, none);
        }
    });
    for (const std::vector<float>& ofTask : columnOf)
        for (std::size_t j = 0; j < d; ++j) column[j] = std::max(column[j], ofTask[j]);
    Margins result{std::vector<double>(d), std::vector<double>(d)};
    for (std::size_t i = 0; i < d; ++i) {
        const std::uint32_t j = gauge.perm()[i];
        const double value = scores.at(i, j);
        result.matched[i] = gauge.sign()[i] * value / unit;
        const float best = std::max(row[i], column[j]);
        result.runnerUp[i] = best == none ? 0 : static_cast<double>(best) / unit;
    }
    return result;
}

// The winners of `one`, measured in `other`. place(line, across) is the entry's index in the matrix.
template <class Place>
double oneWay(const Winners& winners, const ScoreMatrix& one, const ScoreMatrix& other, double squaresOfOther,
              Group group, Place place) {
    double gain = 0, matched = 0;
    for (std::size_t line = 0; line < one.d; ++line) {
        const std::size_t first = place(line, winners.first[line]), second = place(line, winners.second[line]);
        const double top = other.value[first];
        gain += signOf(one.value[first], group) * top -
                signOf(one.value[second], group) * static_cast<double>(other.value[second]);
        matched += top * top;
    }
    return gain / static_cast<double>(one.d) / rootMeanSquare(squaresOfOther, matched, one.d);
}

}  // namespace

ScoreMatrix sum(const Halves& halves) {
    ScoreMatrix total = halves[0];
    for (std::size_t k = 0; k < total.value.size(); ++k) total.value[k] += halves[1].value[k];
    return total;
}

void add(ScoreMatrix& into, double factor, const ScoreMatrix& more) {
    const auto scale = static_cast<float>(factor);
    for (std::size_t k = 0; k < into.value.size(); ++k) into.value[k] += scale * more.value[k];
}

double spread(const ScoreRows& scores, const Gauge& gauge, unsigned threads) {
    double matched = 0;
    for (std::size_t i = 0; i < scores.d(); ++i) {
        const double value = scores.at(i, gauge.perm()[i]);
        matched += value * value;
    }
    return rootMeanSquare(squares(scores, threads), matched, scores.d());
}

double advantage(const Halves& halves, Group group, unsigned threads) {
    const std::size_t d = halves[0].d;
    if (d < 2) return 0;
    std::array<double, 2> both{};
    parallelFor(threads, 2, [&](std::size_t k) {
        const ScoreMatrix &one = halves[k], &other = halves[1 - k];
        const double squaresOfOther = squares(other, 1);
        both[k] = oneWay(rowWinners(one, group), one, other, squaresOfOther, group,
                         [d](std::size_t line, std::size_t across) { return line * d + across; }) +
                  oneWay(columnWinners(one, group), one, other, squaresOfOther, group,
                         [d](std::size_t line, std::size_t across) { return across * d + line; });
    });
    return (both[0] + both[1]) / 4;
}

double Margins::mean() const {
    double total = 0;
    for (std::size_t i = 0; i < matched.size(); ++i) total += matched[i] - runnerUp[i];
    return matched.empty() ? 0 : total / static_cast<double>(matched.size());
}

Margins margins(const ScoreRows& scores, const Gauge& gauge, Group group, unsigned threads) {
    return marginsIn(spread(scores, gauge, threads), scores, gauge, group, threads);
}

Block makeBlock(Halves halves, Group group, unsigned threads, const Progress& progress) {
    Block block;
    block.halves = std::move(halves);
    block.advantage = advantage(block.halves, group, threads);
    const ScoreRows whole(block.halves[0], block.halves[1]);
    block.answer = solve(whole, group, threads, progress);
    for (std::size_t k = 0; k < 2; ++k) block.ofHalf[k] = solve(block.halves[k], group, threads, progress).gauge;
    block.unit = spread(whole, block.answer.gauge, threads);
    block.margins = marginsIn(block.unit, whole, block.answer.gauge, group, threads);
    return block;
}

ScoreMatrix inSpreads(const Block& block) {
    ScoreMatrix z = sum(block.halves);
    for (float& value : z.value) value = static_cast<float>(static_cast<double>(value) / block.unit);
    return z;
}

}  // namespace regauge

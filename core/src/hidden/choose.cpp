#include "hidden/choose.hpp"

#include <algorithm>
#include <cmath>

#include "regauge/assignment.hpp"

namespace regauge {
namespace {

// Integers that decide: steps of a score of 1. Sums over a group of up to 256 heads stay below maxScore.
constexpr double steps = 1 << 20;
constexpr double mostSum = maxScore;

std::int32_t rounded(double score, double factor) {
    return static_cast<std::int32_t>(std::clamp(std::nearbyint(score * factor), -mostSum, mostSum));
}

std::size_t best(const float* row, std::size_t n) {
    return static_cast<std::size_t>(std::max_element(row, row + n) - row);
}

// Scores, margins and agreement of what was chosen.
Chosen described(std::vector<std::uint32_t> source, const UnitScores& scores, double scale) {
    const std::size_t n = scores.n;
    Chosen chosen;
    chosen.source = std::move(source);
    std::vector<float> ofRow(n, -INFINITY), ofColumn(n, -INFINITY);  // the best that was not chosen
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j)
            if (chosen.source[i] != j) {
                ofRow[i] = std::max(ofRow[i], scores.total(i, j));
                ofColumn[j] = std::max(ofColumn[j], scores.total(i, j));
            }
    std::vector<double> first(n, 0.0), second(n, 0.0);
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t j = chosen.source[i];
        const double own = scores.total(i, j);
        chosen.score.push_back(own / scale);
        chosen.margin.push_back(n == 1 ? 1 : (own - std::max(ofRow[i], ofColumn[j])) / scale);
        const std::size_t a = best(&scores.first[i * n], n), b = best(&scores.second[i * n], n);
        chosen.agree.push_back(a == j && b == j);
        first[a] += 1, second[b] += 1;
    }
    for (std::size_t j = 0; j < n; ++j)
        chosen.chance += first[j] * second[j] / (static_cast<double>(n) * static_cast<double>(n));
    return chosen;
}

}  // namespace

Chosen chooseUnits(const UnitScores& scores, double scale, const Progress& progress) {
    const std::size_t n = scores.n;
    std::vector<std::int32_t> integers(n * n);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j)
            integers[i * n + j] = rounded(scores.total(i, j), static_cast<double>(maxScore) / 4);
    return described(assign(integers, n, progress).column, scores, scale);
}

Chosen chooseGrouped(const UnitScores& scores, double scale, std::size_t perGroup) {
    const std::size_t n = scores.n, groups = n / perGroup;
    std::vector<std::int32_t> between(groups * groups), within(perGroup * perGroup);
    std::vector<std::vector<std::uint32_t>> inside(groups * groups);
    for (std::size_t t = 0; t < groups; ++t)
        for (std::size_t s = 0; s < groups; ++s) {
            for (std::size_t i = 0; i < perGroup; ++i)
                for (std::size_t j = 0; j < perGroup; ++j)
                    within[i * perGroup + j] = rounded(scores.total(t * perGroup + i, s * perGroup + j), steps);
            const Assignment one = assign(within, perGroup);
            between[t * groups + s] = static_cast<std::int32_t>(
                std::clamp<std::int64_t>(one.total, -std::int64_t{maxScore}, std::int64_t{maxScore}));
            inside[t * groups + s] = one.column;
        }
    const Assignment outer = assign(between, groups);
    std::vector<std::uint32_t> source(n);
    for (std::size_t t = 0; t < groups; ++t) {
        const std::uint32_t s = outer.column[t];
        for (std::size_t i = 0; i < perGroup; ++i)
            source[t * perGroup + i] = static_cast<std::uint32_t>(s * perGroup) + inside[t * groups + s][i];
    }
    return described(std::move(source), scores, scale);
}

std::vector<std::vector<double>> confidences(const std::vector<const Chosen*>& together) {
    double units = 0, agreeing = 0, chance = 0;
    std::vector<double> matched, others;
    for (const Chosen* one : together) {
        const auto n = static_cast<double>(one->source.size());
        units += n, chance += one->chance * n;
        for (std::size_t i = 0; i < one->source.size(); ++i) {
            agreeing += one->agree[i] ? 1 : 0;
            matched.push_back(one->score[i]), others.push_back(one->score[i] - one->margin[i]);
        }
    }
    if (units == 0) return std::vector<std::vector<double>>(together.size());
    chance /= units;
    std::ranges::sort(matched), std::ranges::sort(others);
    const auto above = [](const std::vector<double>& sorted, double value) {
        return static_cast<double>(sorted.end() - std::ranges::lower_bound(sorted, value));
    };
    const double share = agreeing / units;
    constexpr double doubt = 2;  // standard deviations of the share that are taken off: rather too modest
    const double deviation = std::sqrt(share * (1 - share) / units);
    const double known = chance >= 1 ? 1 : std::clamp((share - chance - doubt * deviation) / (1 - chance), 0.0, 1.0);
    std::vector<std::vector<double>> result;
    for (const Chosen* one : together) {
        std::vector<double> list;
        for (std::size_t i = 0; i < one->source.size(); ++i) {
            if (known <= 0) {
                list.push_back(0);
            } else if (one->agree[i]) {
                list.push_back(known / (known + (1 - known) * chance));
            } else {
                const double false_ = (above(others, one->score[i]) + 1) / above(matched, one->score[i]);
                list.push_back(known * (1 - std::min(1.0, false_)));
            }
        }
        result.push_back(std::move(list));
    }
    return result;
}

}  // namespace regauge

#include "regauge/assignment.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "assignment/solve.hpp"
#include "kernels/row_scan.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

using assignment::Market;
using assignment::Opening;

// The largest |score| that 32-bit prices serve.
constexpr std::int32_t narrowReach = Market<std::int32_t>::limit;

// market: no column is held yet and all prices are zero. Where rows compete, their lists are made here, while their
// scores are in the cache.
Opening open(std::span<const std::int32_t> score, std::size_t n, Market<std::int32_t>& market,
             const Progress& progress) {
    const kernels::RowScan& scan = kernels::rowScan(kernels::activeIsa());
    Opening o{std::vector<std::int32_t>(n), std::vector<std::uint32_t>(n)};
    std::vector<std::uint8_t> wanted(n, 0);
    for (std::size_t i = 0; i < n; ++i) {
        const std::int32_t* row = score.data() + i * n;
        std::int32_t smallest = 0;
        scan.extremes(row, n, &o.best[i], &smallest);
        o.highest = std::max(o.highest, o.best[i]);
        o.lowest = std::min(o.lowest, smallest);
        if (o.highest > maxScore || o.lowest < -maxScore) {
            throw Error(ErrorCode::tooLarge, "",
                        "row " + std::to_string(i) + " of the score matrix holds " +
                            std::to_string(o.highest > maxScore ? o.highest : o.lowest) +
                            "; scores must lie within -2^30 and 2^30, so scale them down");
        }
        o.favourite[i] = static_cast<std::uint32_t>(scan.findFirst(row, n, o.best[i]));
        if (wanted[o.favourite[i]] == 0) ++o.distinct;
        wanted[o.favourite[i]] = 1;
        const std::size_t rivals = i + 1 - o.distinct;
        const bool contested = rivals > i / 64 + 4 && rivals < i / 2;  // more, and the prices will change first
        if (contested && o.highest <= narrowReach && o.lowest >= -narrowReach) market.refresh(i);
        if (i % 256 == 0) progress.report("assigning", 0, n);
    }
    return o;
}

}  // namespace

Assignment assign(std::span<const std::int32_t> score, std::size_t n, const Progress& progress) {
    if (score.size() != n * n) {
        throw Error(ErrorCode::shapeMismatch, "",
                    "expected " + std::to_string(n) + " x " + std::to_string(n) + " scores, found " +
                        std::to_string(score.size()));
    }
    Market<std::int32_t> narrow(score, n, progress);
    const Opening opening = open(score, n, narrow, progress);
    if (opening.distinct == n) {
        // Every row gets its favourite: optimal with all columns free of charge, and the pass above is the proof.
        return {opening.favourite,
                {opening.best.begin(), opening.best.end()},
                std::vector<std::int64_t>(n, 0),
                std::accumulate(opening.best.begin(), opening.best.end(), std::int64_t{0})};
    }
    if (opening.highest <= narrowReach && opening.lowest >= -narrowReach) {
        try {
            return assignment::solve(narrow, opening, progress);
        } catch (const assignment::PriceOverflow&) {
            // Prices far above the scores: possible, though no evidence has shown it.
        }
    }
    return assignment::solveWide(score, n, opening, progress);
}

bool isOptimal(std::span<const std::int32_t> score, std::size_t n, const Assignment& a) {
    if (score.size() != n * n || a.column.size() != n || a.rowPrice.size() != n || a.columnPrice.size() != n)
        return false;
    std::vector<std::uint8_t> taken(n, 0);
    std::int64_t total = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t own = a.column[i];
        if (own >= n || taken[own] != 0) return false;
        taken[own] = 1;
        const std::int32_t* row = score.data() + i * n;
        total += row[own];
        if (a.rowPrice[i] + a.columnPrice[own] != row[own]) return false;
        for (std::size_t j = 0; j < n; ++j) {
            if (a.rowPrice[i] + a.columnPrice[j] < row[j]) return false;
        }
    }
    return total == a.total;
}

}  // namespace regauge

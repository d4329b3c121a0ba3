#include "regauge/assignment.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "assignment/bidding.hpp"
#include "assignment/market.hpp"
#include "assignment/paths.hpp"
#include "assignment/warm_start.hpp"
#include "kernels/row_scan.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

using assignment::auction;
using assignment::Market;
using assignment::nobody;
using assignment::PathSearch;
using assignment::reduceRows;
using assignment::Rows;
using assignment::setSortedPrices;

// Each row's own favourite, all prices being zero.
struct Opening {
    std::vector<std::int32_t> best;         // per row
    std::vector<std::uint32_t> favourite;   // per row: the first column with that score
    std::size_t distinct = 0;               // columns that are some row's favourite
    std::int32_t highest = -maxScore;
    std::int32_t lowest = maxScore;
};

// The largest |score| that 32-bit prices serve.
constexpr std::int32_t narrowReach = Market<std::int32_t>::limit;

// market: no column is held yet and all prices are zero. Where rows compete, their lists are made here, while their scores are in the cache.
Opening open(std::span<const std::int32_t> score, std::size_t n, Market<std::int32_t>& market, const Progress& progress) {
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
            throw Error(ErrorCode::tooLarge, "", "row " + std::to_string(i) + " of the score matrix holds " +
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

// Matches all rows, exactly. The market comes with no column held.
template <class Price>
void matchAll(Market<Price>& market, const Opening& opening) {
    const std::size_t n = market.size();
    const Price coarsest = std::max<Price>(1, (Price{opening.highest} - Price{opening.lowest}) / 8);
    Price epsilon = coarsest;
    Rows freeRows(n);
    if (opening.distinct < n / 2) {  // (noise has 63 %)
        setSortedPrices(market);
        epsilon = std::max<Price>(1, coarsest / 128);
        std::iota(freeRows.begin(), freeRows.end(), 0u);
    } else {
        freeRows.clear();
        for (std::uint32_t i = 0; i < n; ++i) {
            if (market.holder(opening.favourite[i]) == nobody) market.take(i, opening.favourite[i], opening.best[i]);
            else freeRows.push_back(i);
        }
    }
    freeRows = reduceRows(market, freeRows, 20 * n);

    // Paths end every assignment, but they are long while prices are far off. So while many rows are free paths go on only as long as they get on well, and
    // otherwise an auction mends the prices: first in steps large enough for it to end within its budget, then in smaller and smaller ones.
    PathSearch<Price> paths(market);
    for (bool coarseEnough = false; freeRows.size() > n / 64;) {
        for (std::size_t before = 2 * n; before - freeRows.size() > freeRows.size() / 8 && freeRows.size() > n / 64;) {
            before = freeRows.size();
            freeRows = paths.augment(freeRows, market.fullPass());
        }
        if (freeRows.size() <= n / 64) break;
        const bool ended = auction(market, freeRows, epsilon, 40 * market.fullPass());
        freeRows = reduceRows(market, freeRows, 3 * n);
        if (ended) {
            coarseEnough = true;
            if (epsilon == 1) break;
            epsilon = std::max<Price>(1, epsilon / 5);
        } else {
            if (coarseEnough || epsilon == coarsest) break;
            epsilon = epsilon > coarsest / 8 ? coarsest : epsilon * 8;
        }
    }
    paths.augment(freeRows, std::numeric_limits<std::uint64_t>::max());
}

template <class Price>
Assignment solve(Market<Price>& market, const Opening& opening, const Progress& progress) {
    const std::size_t n = market.size();
    matchAll(market, opening);

    // The certificate, from the scores themselves: no row values any column more than its own.
    Assignment result;
    result.column = market.columns();
    result.columnPrice.assign(market.prices().begin(), market.prices().end());
    result.rowPrice.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
        Price stripes[kernels::scanStripes];
        market.scan().stripeMaxima(market.row(i), market.prices().data(), n, stripes);
        const Price best = *std::max_element(std::begin(stripes), std::end(stripes));
        const std::uint32_t j = market.column(i);
        if (j == nobody || market.holder(j) != i || market.row(i)[j] - market.prices()[j] != best) {
            throw Error(ErrorCode::internal, "", "the assignment is not optimal at row " + std::to_string(i) + "; please report this, with the evidence");
        }
        result.rowPrice[i] = best;
        result.total += market.row(i)[j];
        if (i % 256 == 0) progress.report("assigning", n, n);
    }
    return result;
}

}  // namespace

Assignment assign(std::span<const std::int32_t> score, std::size_t n, const Progress& progress) {
    if (score.size() != n * n) {
        throw Error(ErrorCode::shapeMismatch, "", "expected " + std::to_string(n) + " x " + std::to_string(n) + " scores, found " + std::to_string(score.size()));
    }
    Market<std::int32_t> narrow(score, n, progress);
    const Opening opening = open(score, n, narrow, progress);
    if (opening.distinct == n) {
        // Every row gets its favourite: optimal with all columns free of charge, and the pass above is the proof.
        return {opening.favourite, {opening.best.begin(), opening.best.end()}, std::vector<std::int64_t>(n, 0),
                std::accumulate(opening.best.begin(), opening.best.end(), std::int64_t{0})};
    }
    if (opening.highest <= narrowReach && opening.lowest >= -narrowReach) {
        try {
            return solve(narrow, opening, progress);
        } catch (const assignment::PriceOverflow&) {
            // Prices far above the scores: possible, though no evidence has shown it.
        }
    }
    Market<std::int64_t> wide(score, n, progress);
    return solve(wide, opening, progress);
}

bool isOptimal(std::span<const std::int32_t> score, std::size_t n, const Assignment& a) {
    if (score.size() != n * n || a.column.size() != n || a.rowPrice.size() != n || a.columnPrice.size() != n) return false;
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

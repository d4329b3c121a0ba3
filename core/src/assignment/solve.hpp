// From every row's favourite to an exact and certified assignment, for prices of 32 or 64 bits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "assignment/bidding.hpp"
#include "assignment/market.hpp"
#include "assignment/paths.hpp"
#include "assignment/warm_start.hpp"
#include "kernels/row_scan.hpp"
#include "regauge/assignment.hpp"
#include "regauge/error.hpp"

namespace regauge::assignment {

// Each row's own favourite, all prices being zero.
struct Opening {
    std::vector<std::int32_t> best;        // per row
    std::vector<std::uint32_t> favourite;  // per row: the first column with that score
    std::size_t distinct = 0;              // columns that are some row's favourite
    std::int32_t highest = -maxScore;
    std::int32_t lowest = maxScore;
};

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
            if (market.holder(opening.favourite[i]) == nobody)
                market.take(i, opening.favourite[i], opening.best[i]);
            else
                freeRows.push_back(i);
        }
    }
    freeRows = reduceRows(market, freeRows, 20 * n);

    // Paths end every assignment, but they are long while prices are far off. So while many rows are free paths go on
    // only as long as they get on well, and otherwise an auction mends the prices: first in steps large enough for it
    // to end within its budget, then in smaller and smaller ones.
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
            throw Error(ErrorCode::internal, "",
                        "the assignment is not optimal at row " + std::to_string(i) +
                            "; please report this, with the evidence");
        }
        result.rowPrice[i] = best;
        result.total += market.row(i)[j];
        if (i % 256 == 0) progress.report("assigning", n, n);
    }
    return result;
}

// With 64-bit prices, for scores or prices that outgrow 32: compiled on its own, for size, because no evidence has
// needed it yet.
Assignment solveWide(std::span<const std::int32_t> score, std::size_t n, const Opening& opening,
                     const Progress& progress);

}  // namespace regauge::assignment

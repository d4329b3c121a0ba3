// Prices to start from where most rows want the same columns: the optimal prices of scores of which each row is a
// multiple of one profile.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "assignment/market.hpp"

namespace regauge::assignment {

// Where massive rows (BOS, attention sinks) were kept, score[i][j] is nearly offset[i] + slope[i] * mean[j], with
// mean[j] the mean of column j and slope[i] from the regression of row i on the means. For such scores the assignment
// that sorts rows by slope and columns by mean is optimal, and a column costs more than the one below it by what it is
// worth more to the rows at either rank (slopes and means sorted, ascending):
//
//     price[k] - price[k-1] = (slope[k-1] + slope[k]) / 2 * (mean[k] - mean[k-1])
//
// Sets all prices so, the lowest to zero. Any prices are a legitimate start; good ones leave only the noise to be
// fought over: this is what makes nearly rank-one scores as easy as noise. Rounding decides nothing: the phases that
// follow are exact. About one dense pass.
template <class Price>
void setSortedPrices(Market<Price>& market) {
    const std::size_t n = market.size();
    const kernels::RowScan& scan = kernels::rowScan(kernels::activeIsa());
    // A column's mean needs no more than a few hundred rows.
    const std::size_t stride = std::max<std::size_t>(1, n / 512);
    std::vector<std::int64_t> sums(n, 0);
    std::size_t rows = 0;
    for (std::size_t i = 0; i < n; i += stride, ++rows) scan.addRow(market.row(i), n, sums.data());
    const double grandMean =
        static_cast<double>(std::accumulate(sums.begin(), sums.end(), std::int64_t{0})) / static_cast<double>(n * rows);
    std::vector<double> mean(n);  // less the grand mean, so that a row's offset does not enter its slope
    for (std::size_t j = 0; j < n; ++j) mean[j] = static_cast<double>(sums[j]) / static_cast<double>(rows) - grandMean;
    const double variance = std::inner_product(mean.begin(), mean.end(), mean.begin(), 0.0);
    if (variance < 1) return;  // all columns alike
    std::vector<double> slope(n);
    for (std::size_t i = 0; i < n; ++i) {
        slope[i] = scan.dotRow(market.row(i), mean.data(), n) / variance;
        market.tick(0);
    }

    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return sums[a] != sums[b] ? sums[a] < sums[b] : a < b; });
    std::sort(slope.begin(), slope.end());
    std::vector<double> price(n, 0);  // of the k-th column in order
    for (std::size_t k = 1; k < n; ++k)
        price[k] = price[k - 1] + 0.5 * (slope[k - 1] + slope[k]) * (mean[order[k]] - mean[order[k - 1]]);
    const double lowest = *std::min_element(price.begin(), price.end());
    for (std::size_t k = 0; k < n; ++k) {
        const double rise = std::floor(price[k] - lowest);
        if (rise > static_cast<double>(Market<Price>::limit)) throw PriceOverflow{};
        market.raise(order[k], static_cast<Price>(rise));
    }
}

}  // namespace regauge::assignment

#include "kernels/row_scan.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>

namespace regauge::kernels {
namespace {

void extremes(const std::int32_t* score, std::size_t n, std::int32_t* largest, std::int32_t* smallest) {
    *largest = std::numeric_limits<std::int32_t>::min();
    *smallest = std::numeric_limits<std::int32_t>::max();
    for (std::size_t j = 0; j < n; ++j) {
        *largest = std::max(*largest, score[j]);
        *smallest = std::min(*smallest, score[j]);
    }
}

std::size_t findFirst(const std::int32_t* score, std::size_t n, std::int32_t threshold) {
    for (std::size_t j = 0; j < n; ++j) {
        if (score[j] >= threshold) return j;
    }
    return n;
}

void addRow(const std::int32_t* score, std::size_t n, std::int64_t* sums) {
    for (std::size_t j = 0; j < n; ++j) sums[j] += score[j];
}

double dotRow(const std::int32_t* score, const double* weight, std::size_t n) {
    double partial[dotStripes] = {};
    for (std::size_t j = 0; j < n; ++j) partial[j % dotStripes] += score[j] * weight[j];
    return std::accumulate(std::begin(partial), std::end(partial), 0.0);
}

template <class Price>
void stripeMaxima(const std::int32_t* score, const Price* price, std::size_t n, Price* largest) {
    std::fill_n(largest, scanStripes, std::numeric_limits<Price>::min());
    for (std::size_t j = 0; j < n; ++j)
        largest[j % scanStripes] = std::max(largest[j % scanStripes], score[j] - price[j]);
}

template <class Price>
std::size_t collect(const std::int32_t* score, const Price* price, std::size_t n, Price threshold,
                    std::uint32_t* columns, std::size_t capacity) {
    std::size_t count = 0;
    for (std::size_t j = 0; j < n; ++j) {
        if (score[j] - price[j] < threshold) continue;
        if (count == capacity) return capacity + 1;
        columns[count++] = static_cast<std::uint32_t>(j);
    }
    return count;
}

template <class Price>
std::size_t relax(const std::int32_t* score, const Price* price, std::size_t n, Price base, Price limit,
                  Price* distance, std::uint32_t* improved) {
    std::size_t count = 0;
    for (std::size_t j = 0; j < n; ++j) {
        const Price d = base - (score[j] - price[j]);
        if (d >= limit || d >= distance[j]) continue;
        distance[j] = d;
        improved[count++] = static_cast<std::uint32_t>(j);
    }
    return count;
}

constexpr RowScan scalarScan{&extremes,
                             &findFirst,
                             &addRow,
                             &dotRow,
                             {&stripeMaxima<std::int32_t>, &collect<std::int32_t>, &relax<std::int32_t>},
                             {&stripeMaxima<std::int64_t>, &collect<std::int64_t>, &relax<std::int64_t>}};

}  // namespace

#define REGAUGE_DECLARE(isa)        \
    namespace isa {                 \
    const RowScan& vectorRowScan(); \
    }
REGAUGE_COMPILED_ISAS(REGAUGE_DECLARE)
#undef REGAUGE_DECLARE

const RowScan& rowScan(Isa isa) {
    switch (isa) {
#define REGAUGE_CASE(compiled) \
    case Isa::compiled: return compiled::vectorRowScan();
        REGAUGE_COMPILED_ISAS(REGAUGE_CASE)
#undef REGAUGE_CASE
        default: return scalarScan;
    }
}

}  // namespace regauge::kernels

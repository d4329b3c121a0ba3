// Dense passes over one row of a score matrix: what the assignment spends its time on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.hpp"

namespace regauge::kernels {

// Columns are dealt to stripes: column j belongs to stripe j % scanStripes. The largest value of each stripe gives a
// threshold that a known number of columns reach, and it is found lane by lane, whatever the vector's width: the same
// lists come out of every instruction set.
inline constexpr std::size_t scanStripes = 64;

// The largest and smallest score of a row.
using ScanExtremes = void (*)(const std::int32_t* score, std::size_t n, std::int32_t* largest, std::int32_t* smallest);
// The first column whose score is at least `threshold`; n where there is none.
using FindFirst = std::size_t (*)(const std::int32_t* score, std::size_t n, std::int32_t threshold);
// sums[j] += score[j].
using AddRow = void (*)(const std::int32_t* score, std::size_t n, std::int64_t* sums);
// The sum of score[j] * weight[j], in double. The columns are dealt to dotStripes partial sums, which are added in a
// fixed order: the same bits everywhere.
inline constexpr std::size_t dotStripes = 16;
using DotRow = double (*)(const std::int32_t* score, const double* weight, std::size_t n);

// largest[k] = the largest score[j] - price[j] in stripe k; the lowest Price where a stripe is empty (n < scanStripes).
template <class Price>
using StripeMaxima = void (*)(const std::int32_t* score, const Price* price, std::size_t n, Price* largest);
// Writes the columns with score[j] - price[j] >= threshold, in ascending order, `capacity` of them at most. Returns how
// many there are, or capacity + 1 for more than capacity.
template <class Price>
using Collect = std::size_t (*)(const std::int32_t* score, const Price* price, std::size_t n, Price threshold,
                                std::uint32_t* columns, std::size_t capacity);
// d = base + price[j] - score[j]; where d < distance[j] and d < limit: distance[j] = d, and j is appended to
// `improved`. Returns how many.
template <class Price>
using Relax = std::size_t (*)(const std::int32_t* score, const Price* price, std::size_t n, Price base, Price limit,
                              Price* distance, std::uint32_t* improved);

// The passes that know prices. Price is int32_t (twice as fast) or int64_t (always wide enough). The caller sees to it
// that nothing overflows.
template <class Price>
struct PricedScan {
    StripeMaxima<Price> stripeMaxima;
    Collect<Price> collect;
    Relax<Price> relax;
};

struct RowScan {
    ScanExtremes extremes;
    FindFirst findFirst;
    AddRow addRow;
    DotRow dotRow;
    PricedScan<std::int32_t> narrow;
    PricedScan<std::int64_t> wide;

    template <class Price>
    const PricedScan<Price>& priced() const {
        if constexpr (sizeof(Price) == sizeof(std::int32_t))
            return narrow;
        else
            return wide;
    }
};

// The passes for an instruction set; Isa::scalar is the reference that reads like the definitions above.
const RowScan& rowScan(Isa isa);

}  // namespace regauge::kernels

#include "kernels/row_scan.hpp"
#include "kernels/simd.hpp"

// Each function is the vector form of its namesake in row_scan.cpp. They stay separate functions behind a table also
// because V8 optimises WebAssembly function by function: a hot loop inside a long-running caller would stay in baseline
// code to the end.
namespace regauge::kernels::REGAUGE_ISA {
namespace {

using Int32 = xsimd::batch<std::int32_t>;
using Int64 = xsimd::batch<std::int64_t>;

constexpr std::int32_t lowest(std::int32_t) { return INT32_MIN; }
constexpr std::int64_t lowest(std::int64_t) { return INT64_MIN; }

// score[j ..] - price[j ..], as many as fit a batch of prices.
inline Int32 value(const std::int32_t* score, const std::int32_t* price) {
    return Int32::load_unaligned(score) - Int32::load_unaligned(price);
}
inline Int64 value(const std::int32_t* score, const std::int64_t* price) {
    return Int64::load_unaligned(score) - Int64::load_unaligned(price);
}

template <class T>
T larger(T a, T b) {
    return a < b ? b : a;
}

void extremes(const std::int32_t* score, std::size_t n, std::int32_t* largest, std::int32_t* smallest) {
    constexpr std::size_t width = Int32::size;
    Int32 high[4] = {Int32(INT32_MIN), Int32(INT32_MIN), Int32(INT32_MIN), Int32(INT32_MIN)};
    Int32 low[4] = {Int32(INT32_MAX), Int32(INT32_MAX), Int32(INT32_MAX), Int32(INT32_MAX)};
    std::size_t j = 0;
    for (; j + 4 * width <= n; j += 4 * width) {
        for (std::size_t k = 0; k < 4; ++k) {  // four chains hide the latency of max and min
            const Int32 s = Int32::load_unaligned(score + j + k * width);
            high[k] = xsimd::max(high[k], s);
            low[k] = xsimd::min(low[k], s);
        }
    }
    std::int32_t a = xsimd::reduce_max(xsimd::max(xsimd::max(high[0], high[1]), xsimd::max(high[2], high[3])));
    std::int32_t b = xsimd::reduce_min(xsimd::min(xsimd::min(low[0], low[1]), xsimd::min(low[2], low[3])));
    for (; j < n; ++j) {
        a = larger(a, score[j]);
        b = score[j] < b ? score[j] : b;
    }
    *largest = a;
    *smallest = b;
}

std::size_t findFirst(const std::int32_t* score, std::size_t n, std::int32_t threshold) {
    constexpr std::size_t width = Int32::size;
    const Int32 wanted(threshold);
    std::size_t j = 0;
    for (; j + width <= n; j += width) {
        if (xsimd::any(Int32::load_unaligned(score + j) >= wanted)) break;
    }
    while (j < n && score[j] < threshold) ++j;
    return j;
}

void addRow(const std::int32_t* score, std::size_t n, std::int64_t* sums) {
    constexpr std::size_t width = Int64::size;
    std::size_t j = 0;
    for (; j + width <= n; j += width)
        (Int64::load_unaligned(sums + j) + Int64::load_unaligned(score + j)).store_unaligned(sums + j);
    for (; j < n; ++j) sums[j] += score[j];
}

double dotRow(const std::int32_t* score, const double* weight, std::size_t n) {
    using Double = xsimd::batch<double>;
    constexpr std::size_t width = Double::size;
    constexpr std::size_t batches = dotStripes / width;
    Double sums[batches];
    for (std::size_t k = 0; k < batches; ++k) sums[k] = Double(0.0);
    std::size_t j = 0;
    for (; j + dotStripes <= n; j += dotStripes) {
        for (std::size_t k = 0; k < batches; ++k) {
            const Double s = Double::load_unaligned(score + j + k * width);
            sums[k] = sums[k] +
                      s * Double::load_unaligned(weight + j + k * width);  // not fma: two roundings on every machine
        }
    }
    double partial[dotStripes];
    for (std::size_t k = 0; k < batches; ++k) sums[k].store_unaligned(partial + k * width);
    for (std::size_t k = 0; j < n; ++j, ++k) partial[k] += score[j] * weight[j];
    double total = 0;
    for (const double x : partial) total += x;
    return total;
}

// A sixteenth of the stripes is a batch of SSE, NEON or wasm: the stripes are walked in groups of at most eight
// batches, which is what registers hold.
template <class Price>
void stripeMaxima(const std::int32_t* score, const Price* price, std::size_t n, Price* largest) {
    using Batch = xsimd::batch<Price>;
    constexpr std::size_t width = Batch::size;
    constexpr std::size_t batches = scanStripes / width;
    constexpr std::size_t group = batches < 8 ? batches : 8;
    for (std::size_t first = 0; first < scanStripes; first += group * width) {
        Batch high[group];
        for (std::size_t k = 0; k < group; ++k) high[k] = Batch(lowest(Price{}));
        for (std::size_t j = first; j + group * width <= n; j += scanStripes) {
            for (std::size_t k = 0; k < group; ++k)
                high[k] = xsimd::max(high[k], value(score + j + k * width, price + j + k * width));
        }
        for (std::size_t k = 0; k < group; ++k) high[k].store_unaligned(largest + first + k * width);
    }
    // What no whole group covered: the columns of the last, broken round of stripes that lie past its last whole group.
    const std::size_t round = n - n % scanStripes;
    for (std::size_t j = round + (n - round) / (group * width) * (group * width); j < n; ++j) {
        largest[j % scanStripes] = larger<Price>(largest[j % scanStripes], score[j] - price[j]);
    }
}

template <class Price>
std::size_t collect(const std::int32_t* score, const Price* price, std::size_t n, Price threshold,
                    std::uint32_t* columns, std::size_t capacity) {
    using Batch = xsimd::batch<Price>;
    constexpr std::size_t width = Batch::size;
    const Batch wanted(threshold);
    std::size_t count = 0;
    std::size_t j = 0;
    for (; j + 4 * width <= n; j += 4 * width) {
        const auto a = value(score + j, price + j) >= wanted;
        const auto b = value(score + j + width, price + j + width) >= wanted;
        const auto c = value(score + j + 2 * width, price + j + 2 * width) >= wanted;
        const auto d = value(score + j + 3 * width, price + j + 3 * width) >= wanted;
        if (!xsimd::any((a | b) | (c | d))) continue;  // nearly always
        for (std::uint64_t bits = a.mask() | b.mask() << width | c.mask() << 2 * width | d.mask() << 3 * width;
             bits != 0; bits &= bits - 1) {
            if (count == capacity) return capacity + 1;
            columns[count++] = static_cast<std::uint32_t>(j) + static_cast<std::uint32_t>(__builtin_ctzll(bits));
        }
    }
    for (; j < n; ++j) {
        if (score[j] - price[j] < threshold) continue;
        if (count == capacity) return capacity + 1;
        columns[count++] = static_cast<std::uint32_t>(j);
    }
    return count;
}

template <class Price>
std::size_t relax(const std::int32_t* score, const Price* price, std::size_t n, Price base, Price limit,
                  Price* distance, std::uint32_t* improved) {
    using Batch = xsimd::batch<Price>;
    constexpr std::size_t width = Batch::size;
    const Batch from(base);
    const Batch below(limit);
    std::size_t count = 0;
    std::size_t j = 0;
    for (; j + width <= n; j += width) {
        const Batch d = from - value(score + j, price + j);
        const Batch known = Batch::load_unaligned(distance + j);
        const auto better = d < xsimd::min(known, below);
        if (!xsimd::any(better)) continue;
        xsimd::select(better, d, known).store_unaligned(distance + j);
        for (std::uint64_t bits = better.mask(); bits != 0; bits &= bits - 1) {
            improved[count++] = static_cast<std::uint32_t>(j) + static_cast<std::uint32_t>(__builtin_ctzll(bits));
        }
    }
    for (; j < n; ++j) {
        const Price d = base - (score[j] - price[j]);
        if (d >= limit || d >= distance[j]) continue;
        distance[j] = d;
        improved[count++] = static_cast<std::uint32_t>(j);
    }
    return count;
}

constexpr RowScan scan{&extremes,
                       &findFirst,
                       &addRow,
                       &dotRow,
                       {&stripeMaxima<std::int32_t>, &collect<std::int32_t>, &relax<std::int32_t>},
                       {&stripeMaxima<std::int64_t>, &collect<std::int64_t>, &relax<std::int64_t>}};

}  // namespace

const RowScan& vectorRowScan();
const RowScan& vectorRowScan() { return scan; }

}  // namespace regauge::kernels::REGAUGE_ISA

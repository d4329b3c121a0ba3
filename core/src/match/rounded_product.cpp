#include "rounded_product.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../packed_rows.hpp"
#include "../parallel.hpp"
#include "../kernels/quantize.hpp"

namespace regauge {
namespace {

constexpr int limit = 2047;
constexpr std::size_t rowsPerWord = 2;
constexpr std::size_t rowsPerBlock = PackedRows::groupsPerBlock * rowsPerWord;
static_assert(std::int64_t{rowsPerBlock} * limit * limit <= INT32_MAX, "the sums of a block fit 32 bits");

// The columns of a matrix, rounded: value = step * integer.
struct Rounded {
    PackedRows rows;
    std::vector<float> step;
};

// rowsAt(first, count, buffer): rows [first, first + count), in the buffer or elsewhere.
template <class RowsAt>
Rounded round(std::size_t d, unsigned threads, RowsAt&& rowsAt) {
    const std::size_t blocks = (d + rowsPerBlock - 1) / rowsPerBlock, padded = kernels::panelsOf(d) * kernels::panelWidth;
    std::vector<std::vector<float>> largest(blocks, std::vector<float>(d, 0.0F));
    const auto forBlocks = [&](auto&& fn) {
        parallelFor(threads, blocks, [&](std::size_t block) {
            const std::size_t first = block * rowsPerBlock, count = std::min(rowsPerBlock, d - first);
            std::vector<float> buffer;
            fn(block, rowsAt(first, count, buffer), count);
        });
    };
    forBlocks([&](std::size_t block, const float* rows, std::size_t count) {
        for (std::size_t k = 0; k < count; ++k)
            for (std::size_t j = 0; j < d; ++j) largest[block][j] = std::max(largest[block][j], std::fabs(rows[k * d + j]));
    });
    Rounded result{PackedRows(d, d, rowsPerWord), std::vector<float>(padded, 0.0F)};
    kernels::AlignedVector<float> centre(padded, 0.0F), inverse(padded, 0.0F);
    for (std::size_t j = 0; j < d; ++j) {
        float most = 0;
        for (const std::vector<float>& ofBlock : largest) most = std::max(most, ofBlock[j]);
        if (most < 1e-30F) continue;  // nothing, or too small for its inverse
        result.step[j] = most / limit;
        inverse[j] = limit / most;
    }
    const kernels::Quantize kernel = kernels::quantize(kernels::activeIsa());
    forBlocks([&](std::size_t block, const float* rows, std::size_t count) {
        for (std::size_t k = 0; k < count; k += rowsPerWord) {
            std::array<const std::byte*, rowsPerWord> at{};
            for (std::size_t i = 0; i < std::min(rowsPerWord, count - k); ++i) at[i] = reinterpret_cast<const std::byte*>(rows + (k + i) * d);
            kernel.pack(at.data(), rowsPerWord, Dtype::F32, centre.data(), inverse.data(), limit, d, result.rows.group(block * rowsPerBlock + k),
                        PackedRows::panelWords);
        }
    });
    return result;
}

// One square of tiles, all rows; out is d x d.
void multiplySquare(const Rounded& a, const Rounded& b, std::size_t firstA, std::size_t firstB, std::size_t edge, std::size_t d, const kernels::IntegerDot& kernel,
                    std::span<float> out) {
    using kernels::panelWidth, kernels::tileSize;
    const std::size_t panels = a.rows.panels(), lastA = std::min(firstA + edge, panels), lastB = std::min(firstB + edge, panels);
    std::vector<std::int64_t> sums((lastA - firstA) * (lastB - firstB) * tileSize, 0);
    alignas(kernels::cacheLine) constexpr std::array<std::int32_t, panelWidth> unbiased{};
    for (std::size_t block = 0; block < a.rows.blocksIn(d); ++block) {
        std::int64_t* to = sums.data();
        for (std::size_t j = firstB; j < lastB; ++j)
            for (std::size_t i = firstA; i < lastA; ++i, to += tileSize) {
                alignas(kernels::cacheLine) std::int32_t here[tileSize] = {};
                kernel.tile(a.rows.panel(block, i), b.rows.panel(block, j), unbiased.data(), a.rows.groupsIn(block, d), here);
                for (std::size_t k = 0; k < tileSize; ++k) to[k] += here[k];
            }
    }
    const std::int64_t* from = sums.data();
    for (std::size_t j = firstB; j < lastB; ++j)
        for (std::size_t i = firstA; i < lastA; ++i, from += tileSize)
            for (std::size_t r = 0; r < std::min(panelWidth, d - i * panelWidth); ++r)
                for (std::size_t c = 0; c < std::min(panelWidth, d - j * panelWidth); ++c) {
                    const std::size_t row = i * panelWidth + r, column = j * panelWidth + c;
                    out[row * d + column] = static_cast<float>(static_cast<double>(from[r * panelWidth + c]) * static_cast<double>(a.step[row]) *
                                                               static_cast<double>(b.step[column]));
                }
}

// out[i, j] += a[j, i] * diagonal of b [j], a square at a time, so that rows of both stay in cache.
void addDiagonal(std::span<const float> a, const Symmetric& b, unsigned threads, std::span<float> out) {
    const std::size_t d = b.d();
    constexpr std::size_t side = kernels::panelWidth;
    std::vector<float> diagonal(d);
    for (std::size_t j = 0; j < d; ++j) diagonal[j] = b.lower(j)[j];
    parallelFor(threads, kernels::panelsOf(d), [&](std::size_t panel) {
        for (std::size_t across = 0; across < d; across += side)
            for (std::size_t i = panel * side; i < std::min(d, (panel + 1) * side); ++i)
                for (std::size_t j = across; j < std::min(d, across + side); ++j) out[i * d + j] += a[j * d + i] * diagonal[j];
    });
}

}  // namespace

void transposeTimes(std::span<const float> a, const Symmetric& b, unsigned threads, std::span<float> out) {
    constexpr std::size_t edge = 8;  // panels a side of what one task does: its sums stay in the second-level cache
    const std::size_t d = b.d();
    constexpr double entriesPerMicrosecond = 10;
    threads = threadsWorth(threads, static_cast<double>(d * d) / entriesPerMicrosecond);
    {
        const Rounded left = round(d, threads, [&](std::size_t first, std::size_t, std::vector<float>&) { return a.data() + first * d; });
        const Rounded right = round(d, threads, [&](std::size_t first, std::size_t count, std::vector<float>& buffer) {
            buffer.resize(count * d);
            b.rows(first, count, buffer.data());
            for (std::size_t k = 0; k < count; ++k) buffer[k * d + first + k] = 0;
            return static_cast<const float*>(buffer.data());
        });
        const kernels::IntegerDot kernel = kernels::integerDot(kernels::activeIsa(), kernels::fineLimit);
        const std::size_t across = (kernels::panelsOf(d) + edge - 1) / edge;
        parallelFor(threads, across * across,
                    [&](std::size_t task) { multiplySquare(left, right, task / across * edge, task % across * edge, edge, d, kernel, out); });
    }
    addDiagonal(a, b, threads, out);
}

}  // namespace regauge

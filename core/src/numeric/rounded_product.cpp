#include "numeric/rounded_product.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

#include "base/parallel.hpp"
#include "correlation/multiply_rows.hpp"
#include "kernels/quantize.hpp"

namespace regauge {
namespace {

// What both sides of a product are rounded to: eight bits for what is not symmetric, whose largest entries, matched
// pairs, stand far above the rest. Seven for what is symmetric, which has no such entries but its diagonal: as the
// integer kernels want one side.
constexpr int limitOfLeft = 127, limitOfSymmetric = kernels::coarseLimit;
static_assert(TileSums::narrowRows(limitOfLeft) >= 100000, "sums over d fit 32 bits wherever d x d numbers fit memory");

// Passes over all entries pay for a thread from here on.
unsigned threadsFor(unsigned threads, std::size_t d) {
    constexpr double entriesPerMicrosecond = 10;
    return threadsWorth(threads, static_cast<double>(d * d) / entriesPerMicrosecond);
}

// rowsAt(first, count, buffer): rows [first, first + count), in the buffer or elsewhere.
template <class RowsAt>
Rounded round(std::size_t d, int limit, const kernels::IntegerDot& dot, unsigned threads, RowsAt&& rowsAt) {
    const std::size_t padded = kernels::panelsOf(d) * kernels::panelWidth, rowsPerWord = dot.rowsPerWord;
    Rounded result{PackedRows(d, d, rowsPerWord), std::vector<float>(padded, 0.0F)};
    const std::size_t rowsPerBlock = result.rows.rowsPerBlock(), blocks = result.rows.blocksIn(d);
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
            for (std::size_t j = 0; j < d; ++j)
                largest[block][j] = std::max(largest[block][j], std::fabs(rows[k * d + j]));
    });
    kernels::AlignedVector<float> centre(padded, 0.0F), inverse(padded, 0.0F);
    for (std::size_t j = 0; j < d; ++j) {
        float most = 0;
        for (const std::vector<float>& ofBlock : largest) most = std::max(most, ofBlock[j]);
        if (most < 1e-30F) continue;  // nothing, or too small for its inverse
        result.step[j] = most / static_cast<float>(limit);
        inverse[j] = static_cast<float>(limit) / most;
    }
    const kernels::Quantize kernel = kernels::quantize(kernels::activeIsa());
    forBlocks([&](std::size_t block, const float* rows, std::size_t count) {
        for (std::size_t k = 0; k < count; k += rowsPerWord) {
            std::array<const std::byte*, 4> at{};
            for (std::size_t i = 0; i < std::min(rowsPerWord, count - k); ++i)
                at[i] = reinterpret_cast<const std::byte*>(rows + (k + i) * d);
            kernel.pack(at.data(), rowsPerWord, Dtype::F32, centre.data(), inverse.data(), limit, d,
                        result.rows.group(block * rowsPerBlock + k), PackedRows::panelWords);
        }
    });
    sumChannels(result.rows, d, dot, threads);
    return result;
}

// One square of tiles, all rows; out is d x d.
void multiplySquare(const Rounded& a, const Rounded& b, std::size_t firstA, std::size_t firstB, std::size_t edge,
                    std::size_t d, const kernels::IntegerDot& kernel, std::span<float> out) {
    using kernels::panelWidth, kernels::tileSize;
    const std::size_t panels = a.rows.panels(), lastA = std::min(firstA + edge, panels),
                      lastB = std::min(firstB + edge, panels);
    kernels::AlignedVector<std::int32_t> sums((lastA - firstA) * (lastB - firstB) * tileSize, 0);
    for (std::size_t block = 0; block < a.rows.blocksIn(d); ++block) {
        std::int32_t* to = sums.data();
        for (std::size_t j = firstB; j < lastB; ++j)
            for (std::size_t i = firstA; i < lastA; ++i, to += tileSize)
                kernel.tile(a.rows.panel(block, i), b.rows.panel(block, j), a.rows.sums(block, i), a.rows.run(block, i),
                            a.rows.groupsIn(block, d), to);
    }
    const std::int32_t* from = sums.data();
    for (std::size_t j = firstB; j < lastB; ++j)
        for (std::size_t i = firstA; i < lastA; ++i, from += tileSize) {
            const std::size_t first = j * panelWidth, columns = std::min(panelWidth, d - first),
                              rows = std::min(panelWidth, d - i * panelWidth);
            for (std::size_t r = 0; r < rows; ++r) {
                const std::size_t row = i * panelWidth + r;
                float* to = &out[row * d + first];
                for (std::size_t c = 0; c < columns; ++c)
                    to[c] =
                        static_cast<float>(static_cast<double>(from[r * panelWidth + c]) *
                                           static_cast<double>(a.step[row]) * static_cast<double>(b.step[first + c]));
            }
        }
}

// out[i, j] += a[j, i] * diagonal[j], a square at a time, so that rows of both stay in cache.
void addDiagonal(std::span<const float> a, std::span<const float> diagonal, unsigned threads, std::span<float> out) {
    const std::size_t d = diagonal.size();
    constexpr std::size_t side = kernels::panelWidth;
    parallelFor(threads, kernels::panelsOf(d), [&](std::size_t panel) {
        for (std::size_t across = 0; across < d; across += side)
            for (std::size_t i = panel * side; i < std::min(d, (panel + 1) * side); ++i)
                for (std::size_t j = across; j < std::min(d, across + side); ++j)
                    out[i * d + j] += a[j * d + i] * diagonal[j];
    });
}

}  // namespace

RoundedSymmetric::RoundedSymmetric(const Symmetric& matrix, unsigned threads)
    : diagonal_(matrix.d()),
      kernel_(kernels::integerDot(kernels::activeIsa(), limitOfSymmetric)),
      rounded_(round(matrix.d(), limitOfSymmetric, kernel_, threadsFor(threads, matrix.d()),
                     [&](std::size_t first, std::size_t count, std::vector<float>& buffer) {
                         const std::size_t d = matrix.d();
                         buffer.resize(count * d);
                         matrix.rows(first, count, buffer.data());
                         for (std::size_t k = 0; k < count; ++k)
                             diagonal_[first + k] = std::exchange(buffer[k * d + first + k], 0.0F);
                         return static_cast<const float*>(buffer.data());
                     })) {}

void RoundedSymmetric::transposeTimes(std::span<const float> a, unsigned threads, std::span<float> out) const {
    constexpr std::size_t edge = 8;  // panels a side of what one task does: its sums stay in the second-level cache
    const std::size_t d = diagonal_.size();
    threads = threadsFor(threads, d);
    {
        const Rounded left =
            round(d, limitOfLeft, kernel_, threads,
                  [&](std::size_t first, std::size_t, std::vector<float>&) { return a.data() + first * d; });
        const std::size_t across = (kernels::panelsOf(d) + edge - 1) / edge;
        parallelFor(threads, across * across, [&](std::size_t task) {
            multiplySquare(left, rounded_, task / across * edge, task % across * edge, edge, d, kernel_, out);
        });
    }
    addDiagonal(a, diagonal_, threads, out);
}

}  // namespace regauge

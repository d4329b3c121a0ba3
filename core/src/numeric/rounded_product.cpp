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

// to[r * 32 + c] = a[c, r] * diagonal[c] of a tile of a, which is d x d; row by row, as it lies in memory.
void diagonalTile(const float* a, std::size_t d, const float* diagonal, std::size_t rows, std::size_t columns,
                  float* to) {
    for (std::size_t c = 0; c < columns; ++c)
        for (std::size_t r = 0; r < rows; ++r) to[r * kernels::panelWidth + c] = a[c * d + r] * diagonal[c];
}

// One square of tiles, all rows; out is d x d. exact: a before it was rounded, which the diagonal is multiplied by.
void multiplySquare(const Rounded& a, const Rounded& b, std::span<const float> exact, std::span<const float> diagonal,
                    std::size_t firstA, std::size_t firstB, std::size_t edge, const kernels::IntegerDot& kernel,
                    std::span<float> out) {
    using kernels::panelWidth, kernels::tileSize;
    const std::size_t d = diagonal.size(), panels = a.rows.panels(), lastA = std::min(firstA + edge, panels),
                      lastB = std::min(firstB + edge, panels);
    kernels::AlignedVector<std::int32_t> sums((lastA - firstA) * (lastB - firstB) * tileSize, 0);
    for (std::size_t block = 0; block < a.rows.blocksIn(d); ++block) {
        std::int32_t* to = sums.data();
        for (std::size_t j = firstB; j < lastB; ++j)
            for (std::size_t i = firstA; i < lastA; ++i, to += tileSize)
                kernel.tile(a.rows.panel(block, i), b.rows.panel(block, j), a.rows.sums(block, i), a.rows.run(block, i),
                            a.rows.groupsIn(block, d), to);
    }
    alignas(kernels::cacheLine) float besides[tileSize];
    const std::int32_t* from = sums.data();
    for (std::size_t j = firstB; j < lastB; ++j)
        for (std::size_t i = firstA; i < lastA; ++i, from += tileSize) {
            const std::size_t first = j * panelWidth, columns = std::min(panelWidth, d - first),
                              rows = std::min(panelWidth, d - i * panelWidth);
            diagonalTile(&exact[first * d + i * panelWidth], d, &diagonal[first], rows, columns, besides);
            for (std::size_t r = 0; r < rows; ++r) {
                const std::size_t row = i * panelWidth + r;
                float* to = &out[row * d + first];
                for (std::size_t c = 0; c < columns; ++c)
                    to[c] =
                        static_cast<float>(static_cast<double>(from[r * panelWidth + c]) *
                                           static_cast<double>(a.step[row]) * static_cast<double>(b.step[first + c])) +
                        besides[r * panelWidth + c];
            }
        }
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
    const Rounded left =
        round(d, limitOfLeft, kernel_, threads,
              [&](std::size_t first, std::size_t, std::vector<float>&) { return a.data() + first * d; });
    const std::size_t across = (kernels::panelsOf(d) + edge - 1) / edge;
    parallelFor(threads, across * across, [&](std::size_t task) {
        multiplySquare(left, rounded_, a, diagonal_, task / across * edge, task % across * edge, edge, kernel_, out);
    });
}

}  // namespace regauge

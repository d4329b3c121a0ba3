#include "numeric/gemm.hpp"

#include <algorithm>

namespace regauge {
namespace {

// Terms per pass: a strip of the right side stays in the first-level cache.
constexpr std::size_t blockDepth = 256;

constexpr std::size_t roundUp(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

}  // namespace

template <class T>
Gemm<T>::Gemm() : kernel_(kernels::dense<T>(kernels::activeIsa())) {
    left_.resize(roundUp(blockRows, kernel_.rows) * blockDepth);
    right_.resize(roundUp(blockColumns, kernel_.columns) * blockDepth);
    edge_.resize(kernel_.rows * kernel_.columns);
}

template <class T>
void Gemm<T>::multiplyPacked(T* c, std::size_t stride, std::size_t n, std::size_t m, std::size_t depth) {
    for (std::size_t j = 0; j < m; j += kernel_.columns) {
        const T* right = right_.data() + j * depth;
        for (std::size_t i = 0; i < n; i += kernel_.rows) {
            const T* left = left_.data() + i * depth;
            T* tile = c + i * stride + j;
            if (i + kernel_.rows <= n && j + kernel_.columns <= m) {
                kernel_.multiply(left, right, depth, tile, stride);
                continue;
            }
            // A tile that reaches past the edge is computed whole on the side; every element still sees its own terms
            // in order.
            const std::size_t rows = std::min(kernel_.rows, n - i);
            const std::size_t columns = std::min(kernel_.columns, m - j);
            for (std::size_t r = 0; r < rows; ++r)
                std::copy_n(tile + r * stride, columns, edge_.data() + r * kernel_.columns);
            kernel_.multiply(left, right, depth, edge_.data(), kernel_.columns);
            for (std::size_t r = 0; r < rows; ++r)
                std::copy_n(edge_.data() + r * kernel_.columns, columns, tile + r * stride);
        }
    }
}

template <class T>
void Gemm<T>::multiply(MatrixView<T> a, MatrixView<T> b, T* c, std::size_t stride, std::size_t n, std::size_t m,
                       std::size_t depth, Accumulate how) {
    const T sign = how == Accumulate::add ? T(1) : T(-1);  // to subtract is to add the negated product, to the bit
    for (std::size_t j = 0; j < m; j += blockColumns) {
        const std::size_t columns = std::min(blockColumns, m - j);
        for (std::size_t k = 0; k < depth; k += blockDepth) {
            const std::size_t terms = std::min(blockDepth, depth - k);
            for (std::size_t strip = 0; strip < columns; strip += kernel_.columns) {
                const MatrixView<T> from = b.part(k, j + strip);
                kernel_.packRight(from.data, b.columnStride, b.rowStride, std::min(kernel_.columns, columns - strip),
                                  terms, T(1), right_.data() + strip * terms);
            }
            for (std::size_t i = 0; i < n; i += blockRows) {
                const std::size_t rows = std::min(blockRows, n - i);
                for (std::size_t strip = 0; strip < rows; strip += kernel_.rows) {
                    const MatrixView<T> from = a.part(i + strip, k);
                    kernel_.packLeft(from.data, a.rowStride, a.columnStride, std::min(kernel_.rows, rows - strip),
                                     terms, sign, left_.data() + strip * terms);
                }
                multiplyPacked(c + i * stride + j, stride, rows, columns, terms);
            }
        }
    }
}

template class Gemm<float>;
template class Gemm<double>;

}  // namespace regauge

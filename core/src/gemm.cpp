#include "gemm.hpp"

#include <algorithm>

namespace regauge {
namespace {

// Terms per pass: a strip of the right side stays in the first-level cache.
constexpr std::size_t blockDepth = 128;

constexpr std::size_t roundUp(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

}  // namespace

template <class T>
Gemm<T>::Gemm() : kernel_(kernels::dense<T>(kernels::activeIsa())) {
    left_.resize(roundUp(blockRows, kernel_.rows) * blockDepth);
    right_.resize(roundUp(blockColumns, kernel_.columns) * blockDepth);
    edge_.resize(kernel_.rows * kernel_.columns);
}

// Strips of kernel_.rows rows, each column by column; zeros past n. Subtraction is addition of the negated left side, to the bit.
template <class T>
void Gemm<T>::packLeft(MatrixView<T> a, std::size_t n, std::size_t depth, Accumulate how) {
    const T sign = how == Accumulate::add ? T(1) : T(-1);
    T* to = left_.data();
    for (std::size_t first = 0; first < n; first += kernel_.rows, to += kernel_.rows * depth) {
        const std::size_t here = std::min(kernel_.rows, n - first);
        if (here < kernel_.rows) std::fill_n(to, kernel_.rows * depth, T(0));
        for (std::size_t i = 0; i < here; ++i) {
            const T* from = a.data + (first + i) * a.rowStride;
            for (std::size_t k = 0; k < depth; ++k) to[k * kernel_.rows + i] = sign * from[k * a.columnStride];
        }
    }
}

// Strips of kernel_.columns columns, each row by row; zeros past m.
template <class T>
void Gemm<T>::packRight(MatrixView<T> b, std::size_t m, std::size_t depth) {
    T* to = right_.data();
    for (std::size_t first = 0; first < m; first += kernel_.columns, to += kernel_.columns * depth) {
        const std::size_t here = std::min(kernel_.columns, m - first);
        if (here < kernel_.columns) std::fill_n(to, kernel_.columns * depth, T(0));
        const T* from = b.data + first * b.columnStride;
        if (b.columnStride == 1) {
            for (std::size_t k = 0; k < depth; ++k) std::copy_n(from + k * b.rowStride, here, to + k * kernel_.columns);
            continue;
        }
        for (std::size_t j = 0; j < here; ++j) {
            for (std::size_t k = 0; k < depth; ++k) to[k * kernel_.columns + j] = from[j * b.columnStride + k * b.rowStride];
        }
    }
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
            // A tile that reaches past the edge is computed whole on the side; every element still sees its own terms in order.
            const std::size_t rows = std::min(kernel_.rows, n - i);
            const std::size_t columns = std::min(kernel_.columns, m - j);
            for (std::size_t r = 0; r < rows; ++r) std::copy_n(tile + r * stride, columns, edge_.data() + r * kernel_.columns);
            kernel_.multiply(left, right, depth, edge_.data(), kernel_.columns);
            for (std::size_t r = 0; r < rows; ++r) std::copy_n(edge_.data() + r * kernel_.columns, columns, tile + r * stride);
        }
    }
}

template <class T>
void Gemm<T>::multiply(MatrixView<T> a, MatrixView<T> b, T* c, std::size_t stride, std::size_t n, std::size_t m, std::size_t depth, Accumulate how) {
    for (std::size_t j = 0; j < m; j += blockColumns) {
        const std::size_t columns = std::min(blockColumns, m - j);
        for (std::size_t k = 0; k < depth; k += blockDepth) {
            const std::size_t terms = std::min(blockDepth, depth - k);
            packRight(b.part(k, j), columns, terms);
            for (std::size_t i = 0; i < n; i += blockRows) {
                const std::size_t rows = std::min(blockRows, n - i);
                packLeft(a.part(i, k), rows, terms, how);
                multiplyPacked(c + i * stride + j, stride, rows, columns, terms);
            }
        }
    }
}

template class Gemm<float>;
template class Gemm<double>;

}  // namespace regauge

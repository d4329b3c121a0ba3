#include "numeric/linalg.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/parallel.hpp"
#include "numeric/gemm.hpp"

namespace regauge {
namespace {

// Triangles of at most this size are done element by element.
constexpr std::size_t smallTriangle = 32;
// Rows that one task solves or multiplies.
constexpr std::size_t taskRows = 256;
constexpr std::size_t taskColumns = 256;

// Rows or columns of one task, `most` at most: fewer where there would be too few tasks for the threads.
std::size_t edgeFor(std::size_t most, std::size_t n, unsigned threads) {
    while (threads > 1 && most > 64 && n < 4 * threads * most) most /= 2;
    return most;
}

unsigned threadsFor(unsigned threads, std::size_t multiplications) {
    constexpr double multiplicationsPerMicrosecond = 1e4;
    return threadsWorth(threads, static_cast<double>(multiplications) / multiplicationsPerMicrosecond);
}

// Splits a triangle in two so that the first part is whole small triangles.
std::size_t half(std::size_t n) { return (n / 2 + smallTriangle - 1) / smallTriangle * smallTriangle; }

template <class T>
MatrixView<T> rowMajor(const T* data, std::size_t stride) {
    return {data, stride, 1};
}

// One Gemm for each task that runs at a time would do; one for each task is simpler, and its buffers cost nothing
// against the work.

// c[i, j] -= sum over k of l[i, k] l[j, k], lower triangle of blocks.
template <class T>
void subtractSquare(const T* l, T* c, std::size_t stride, std::size_t n, std::size_t depth, unsigned threads) {
    const std::size_t edge = edgeFor(taskRows, n, threads), blocks = (n + edge - 1) / edge;
    parallelFor(threadsFor(threads, n * n / 2 * depth), blocks * (blocks + 1) / 2, [&](std::size_t task) {
        std::size_t row = 0;
        while ((row + 1) * (row + 2) / 2 <= task) ++row;
        const std::size_t i = row * edge;
        const std::size_t j = (task - row * (row + 1) / 2) * edge;
        Gemm<T> gemm;
        gemm.multiply(rowMajor(l + i * stride, stride), rowMajor(l + j * stride, stride).transposed(),
                      c + i * stride + j, stride, std::min(edge, n - i), std::min(edge, n - j), depth,
                      Accumulate::subtract);
    });
}

// X L^T = B for a small triangle: rows of B are independent, so they are turned into the lanes of the kernel.
template <class T>
void solveRowsSmall(Gemm<T>& gemm, const T* l, T* b, std::size_t stride, std::size_t rows, std::size_t n) {
    const kernels::Dense<T>& kernel = gemm.kernel();
    kernels::AlignedVector<T> lanes(smallTriangle * kernel.lanes);
    for (std::size_t first = 0; first < rows; first += kernel.lanes) {
        const std::size_t here = std::min(kernel.lanes, rows - first);
        T* block = b + first * stride;
        for (std::size_t i = 0; i < here; ++i) {
            for (std::size_t j = 0; j < n; ++j) lanes[j * kernel.lanes + i] = block[i * stride + j];
        }
        kernel.solve(l, stride, n, lanes.data(), kernel.lanes);
        for (std::size_t i = 0; i < here; ++i) {
            for (std::size_t j = 0; j < n; ++j) block[i * stride + j] = lanes[j * kernel.lanes + i];
        }
    }
}

// X L^T = B, X over B: rows x n, L n x n.
template <class T>
void solveRows(Gemm<T>& gemm, const T* l, T* b, std::size_t stride, std::size_t rows, std::size_t n) {
    if (n <= smallTriangle) return solveRowsSmall(gemm, l, b, stride, rows, n);
    const std::size_t first = half(n);
    solveRows(gemm, l, b, stride, rows, first);
    gemm.multiply(rowMajor<T>(b, stride), rowMajor(l + first * stride, stride).transposed(), b + first, stride, rows,
                  n - first, first, Accumulate::subtract);
    solveRows(gemm, l + first * stride + first, b + first, stride, rows, n - first);
}

// L X = B for a small triangle: columns of B are the lanes as they lie.
template <class T>
void solveColumnsSmall(Gemm<T>& gemm, const T* l, std::size_t lStride, T* b, std::size_t stride, std::size_t n,
                       std::size_t columns) {
    const kernels::Dense<T>& kernel = gemm.kernel();
    std::size_t first = 0;
    for (; first + kernel.lanes <= columns; first += kernel.lanes) kernel.solve(l, lStride, n, b + first, stride);
    if (first == columns) return;
    kernels::AlignedVector<T> lanes(smallTriangle * kernel.lanes);
    for (std::size_t i = 0; i < n; ++i)
        std::copy(b + i * stride + first, b + i * stride + columns, lanes.data() + i * kernel.lanes);
    kernel.solve(l, lStride, n, lanes.data(), kernel.lanes);
    for (std::size_t i = 0; i < n; ++i)
        std::copy_n(lanes.data() + i * kernel.lanes, columns - first, b + i * stride + first);
}

// L X = B, X over B: L n x n, B n x columns.
template <class T>
void solveColumns(Gemm<T>& gemm, const T* l, std::size_t lStride, T* b, std::size_t stride, std::size_t n,
                  std::size_t columns) {
    if (n <= smallTriangle) return solveColumnsSmall(gemm, l, lStride, b, stride, n, columns);
    const std::size_t first = half(n);
    solveColumns(gemm, l, lStride, b, stride, first, columns);
    gemm.multiply(rowMajor(l + first * lStride, lStride), rowMajor<T>(b, stride), b + first * stride, stride, n - first,
                  columns, first, Accumulate::subtract);
    solveColumns(gemm, l + first * lStride + first, lStride, b + first * stride, stride, n - first, columns);
}

template <class T>
bool choleskySmall(T* a, std::size_t stride, std::size_t n) {
    for (std::size_t j = 0; j < n; ++j) {
        for (std::size_t i = j; i < n; ++i) {
            T value = a[i * stride + j];
            for (std::size_t k = 0; k < j; ++k) value -= a[i * stride + k] * a[j * stride + k];
            if (i == j && !(value > 0)) return false;  // also NaN
            a[i * stride + j] = i == j ? std::sqrt(value) : value / a[j * stride + j];
        }
    }
    return true;
}

template <class T>
bool cholesky(T* a, std::size_t stride, std::size_t n, unsigned threads, const Progress& progress, const char* stage,
              std::size_t done, std::size_t total) {
    if (n <= smallTriangle) return choleskySmall(a, stride, n);
    const std::size_t first = half(n);
    const std::size_t rest = n - first;
    T* below = a + first * stride;
    if (!cholesky(a, stride, first, threads, progress, stage, done, total)) return false;
    const std::size_t rows = edgeFor(taskRows, rest, threads);
    parallelFor(threadsFor(threads, rest * first * first / 2), (rest + rows - 1) / rows, [&](std::size_t task) {
        Gemm<T> gemm;
        solveRows(gemm, a, below + task * rows * stride, stride, std::min(rows, rest - task * rows), first);
    });
    subtractSquare(below, below + first, stride, rest, first, threads);
    if (n > taskRows) progress.report(stage, done + first, total);
    return cholesky(below + first, stride, rest, threads, progress, stage, done + first, total);
}

// L^-1 over L, block row by block row: row i of M is L_ii^-1 (I - sum over k < i of L_ik M_k), and M_k is lower
// triangular.
template <class T>
void invertLower(T* l, std::size_t n, unsigned threads, const Progress& progress, const char* stage, std::size_t done,
                 std::size_t total) {
    kernels::AlignedVector<T> row(std::min(taskRows, n) * n);
    for (std::size_t i = 0; i < n; i += taskRows) {
        const std::size_t rows = std::min(taskRows, n - i);
        const std::size_t end = i + rows;
        const std::size_t edge = edgeFor(taskColumns, end, threads);
        parallelFor(threadsFor(threads, rows * end * end / 2), (end + edge - 1) / edge, [&](std::size_t task) {
            const std::size_t j = task * edge;
            const std::size_t columns = std::min(edge, end - j);
            T* block = row.data() + j;
            for (std::size_t r = 0; r < rows; ++r) {
                std::fill_n(block + r * n, columns, T(0));
                if (i + r >= j && i + r < j + columns) block[r * n + (i + r - j)] = T(1);
            }
            Gemm<T> gemm;
            if (j < i)
                gemm.multiply(rowMajor(l + i * n + j, n), rowMajor(l + j * n + j, n), block, n, rows, columns, i - j,
                              Accumulate::subtract);
            solveColumns(gemm, l + i * n + i, n, block, n, rows, columns);
        });
        for (std::size_t r = 0; r < rows; ++r) {
            std::copy_n(row.data() + r * n, i + r + 1, l + (i + r) * n);
            // The block products above read whole blocks on the diagonal.
            std::fill(l + (i + r) * n + i + r + 1, l + (i + r) * n + end, T(0));
        }
        progress.report(stage, done + end, total);
    }
}

// M^T M over the lower triangular M, lower triangle: row i of the product needs rows i, i + 1, .. of M only.
template <class T>
void squareOfLower(T* m, std::size_t n, unsigned threads, const Progress& progress, const char* stage, std::size_t done,
                   std::size_t total) {
    kernels::AlignedVector<T> row(std::min(taskRows, n) * n);
    for (std::size_t i = 0; i < n; i += taskRows) {
        const std::size_t rows = std::min(taskRows, n - i);
        const std::size_t end = i + rows;
        const std::size_t edge = edgeFor(taskColumns, end, threads);
        parallelFor(threadsFor(threads, rows * end * (n - i)), (end + edge - 1) / edge, [&](std::size_t task) {
            const std::size_t j = task * edge;
            const std::size_t columns = std::min(edge, end - j);
            for (std::size_t r = 0; r < rows; ++r) std::fill_n(row.data() + r * n + j, columns, T(0));
            Gemm<T> gemm;
            gemm.multiply(rowMajor(m + i * n + i, n).transposed(), rowMajor(m + i * n + j, n), row.data() + j, n, rows,
                          columns, n - i, Accumulate::add);
        });
        for (std::size_t r = 0; r < rows; ++r) std::copy_n(row.data() + r * n, i + r + 1, m + (i + r) * n);
        progress.report(stage, done + end, total);
    }
}

// The upper triangle from the lower one, a square at a time, so that rows of both stay in cache.
template <class T>
void mirrorLower(T* a, std::size_t n, unsigned threads) {
    constexpr std::size_t side = 32;
    parallelFor(threadsFor(threads, 16 * n * n), (n + side - 1) / side, [&](std::size_t task) {
        const std::size_t first = task * side, last = std::min(n, first + side);
        for (std::size_t across = first; across < n; across += side)
            for (std::size_t j = first; j < last; ++j)
                for (std::size_t i = std::max(across, j + 1); i < std::min(n, across + side); ++i)
                    a[j * n + i] = a[i * n + j];
    });
}

}  // namespace

template <class T>
void multiply(const T* a, const T* b, T* c, std::size_t n, std::size_t m, std::size_t k, unsigned threads) {
    const std::size_t across = (m + taskColumns - 1) / taskColumns;
    const std::size_t down = (n + taskRows - 1) / taskRows;
    parallelFor(threadsFor(threads, n * m * k), across * down, [&](std::size_t task) {
        const std::size_t i = task / across * taskRows;
        const std::size_t j = task % across * taskColumns;
        Gemm<T> gemm;
        gemm.multiply(rowMajor(a + i * k, k), rowMajor(b + j, m), c + i * m + j, m, std::min(taskRows, n - i),
                      std::min(taskColumns, m - j), k, Accumulate::add);
    });
}

template <class T>
bool choleskyInPlace(T* a, std::size_t n, unsigned threads) {
    return cholesky(a, n, n, threads, Progress(), "", 0, n);
}

template <class T>
bool invertSpd(T* a, std::size_t n, unsigned threads, const Progress& progress, const char* stage) {
    const std::size_t total = 3 * n;
    if (!cholesky(a, n, n, threads, progress, stage, 0, total)) return false;
    invertLower(a, n, threads, progress, stage, n, total);
    squareOfLower(a, n, threads, progress, stage, 2 * n, total);
    mirrorLower(a, n, threads);
    return true;
}

template void multiply(const float*, const float*, float*, std::size_t, std::size_t, std::size_t, unsigned);
template void multiply(const double*, const double*, double*, std::size_t, std::size_t, std::size_t, unsigned);
template bool choleskyInPlace(float*, std::size_t, unsigned);
template bool choleskyInPlace(double*, std::size_t, unsigned);
template bool invertSpd(float*, std::size_t, unsigned, const Progress&, const char*);
template bool invertSpd(double*, std::size_t, unsigned, const Progress&, const char*);

}  // namespace regauge

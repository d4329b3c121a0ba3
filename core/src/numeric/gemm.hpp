// Products of parts of matrices: the piece from which linalg.cpp builds everything else.
#pragma once

#include <cstddef>

#include "kernels/aligned_buffer.hpp"
#include "kernels/dense.hpp"

namespace regauge {

// Part of a matrix, or of its transpose: element [i, j] is data[i * rowStride + j * columnStride].
template <class T>
struct MatrixView {
    const T* data;
    std::size_t rowStride;
    std::size_t columnStride;

    MatrixView transposed() const { return {data, columnStride, rowStride}; }
    MatrixView part(std::size_t row, std::size_t column) const {
        return {data + row * rowStride + column * columnStride, rowStride, columnStride};
    }
};

enum class Accumulate { add, subtract };

// One thread's workshop: the kernels of the active instruction set and room to pack blocks in.
template <class T>
class Gemm {
public:
    // A block of the result that one call should take: large enough that packing costs little, small enough for the
    // second-level cache.
    static constexpr std::size_t blockRows = 128;
    static constexpr std::size_t blockColumns = 256;

    Gemm();

    const kernels::Dense<T>& kernel() const { return kernel_; }

    // c[i, j] += (or -=) sum over k of a[i, k] b[k, j], terms one after another in the order of k. c is n x m with rows
    // `stride` apart, and must not overlap a or b. The bits depend on nothing but the numbers.
    void multiply(MatrixView<T> a, MatrixView<T> b, T* c, std::size_t stride, std::size_t n, std::size_t m,
                  std::size_t depth, Accumulate how);

private:
    void multiplyPacked(T* c, std::size_t stride, std::size_t n, std::size_t m, std::size_t depth);

    kernels::Dense<T> kernel_;
    // Written before they are read; small products touch little of them.
    kernels::UnclearedVector<T> left_;
    kernels::UnclearedVector<T> right_;
    kernels::UnclearedVector<T> edge_;
};

}  // namespace regauge

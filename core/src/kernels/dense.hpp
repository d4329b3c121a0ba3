// The inner loops of dense linear algebra in floating point. Every element goes through the same operations in the same
// order whatever the instruction set: separate multiplication and addition, terms added one after another. Vectors run
// over independent elements only.
#pragma once

#include <cstddef>

#include "kernels/isa.hpp"

namespace regauge::kernels {

template <class T>
struct Dense {
    // The shape of a tile of a product, and how many systems solve() takes at a time.
    std::size_t rows;
    std::size_t columns;
    std::size_t lanes;

    // c[i * stride + j] += a[k * rows + i] * b[k * columns + j], for k = 0, 1, .. depth - 1 in this order; i < rows, j
    // < columns.
    // a, b: aligned to a cache line.
    void (*multiply)(const T* a, const T* b, std::size_t depth, T* c, std::size_t stride);

    // A strip of up to `rows` rows of a (packLeft) or `columns` columns of b (packRight) as multiply() wants it, times
    // sign (1 or -1):
    // to[k * size + i] = sign * from[i * acrossStride + k * depthStride] for i < across, 0 from there to size = rows or
    // columns.
    void (*packLeft)(const T* from, std::size_t acrossStride, std::size_t depthStride, std::size_t across,
                     std::size_t depth, T sign, T* to);
    void (*packRight)(const T* from, std::size_t acrossStride, std::size_t depthStride, std::size_t across,
                      std::size_t depth, T sign, T* to);

    // Forward substitution for `lanes` right-hand sides that lie side by side: for i = 0, 1, .. n - 1,
    //   x[i] = (x[i] - l[i, 0] x[0] - l[i, 1] x[1] - .. - l[i, i - 1] x[i - 1]) / l[i, i]   where x[i] is x[i * stride
    //   .. + lanes).
    void (*solve)(const T* l, std::size_t lStride, std::size_t n, T* x, std::size_t stride);
};

template <class T>
Dense<T> dense(Isa isa);

// The definition, for tiles of this shape.
template <class T>
Dense<T> denseReference();

}  // namespace regauge::kernels

// The inner loops of dense linear algebra, one instruction set a build (isa.hpp).
#include "kernels/dense.hpp"
#include "kernels/simd.hpp"

namespace regauge::kernels::REGAUGE_ISA {
namespace {

// Sums, operands and a product have to fit the register file: 32 registers (AVX-512, NEON) or 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr std::size_t rows = 8;
constexpr std::size_t registers = 3;
#else
constexpr std::size_t rows = 4;
constexpr std::size_t registers = 2;
#endif

// Independent chains of subtractions hide their latency.
constexpr std::size_t chains = 4;

template <class T>
void multiply(const T* a, const T* b, std::size_t depth, T* c, std::size_t stride) {
    using Batch = xsimd::batch<T>;
    constexpr std::size_t columns = registers * Batch::size;
    Batch sums[rows][registers];
    for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t v = 0; v < registers; ++v) sums[i][v] = Batch::load_unaligned(c + i * stride + v * Batch::size);
    }
    for (std::size_t k = 0; k < depth; ++k) {
        Batch right[registers];
        for (std::size_t v = 0; v < registers; ++v) right[v] = Batch::load_aligned(b + k * columns + v * Batch::size);
        for (std::size_t i = 0; i < rows; ++i) {
            const Batch left(a[k * rows + i]);
            for (std::size_t v = 0; v < registers; ++v) sums[i][v] = sums[i][v] + left * right[v];
        }
    }
    for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t v = 0; v < registers; ++v) sums[i][v].store_unaligned(c + i * stride + v * Batch::size);
    }
}

template <class T>
void solve(const T* l, std::size_t lStride, std::size_t n, T* x, std::size_t stride) {
    using Batch = xsimd::batch<T>;
    for (std::size_t i = 0; i < n; ++i) {
        Batch values[chains];
        for (std::size_t v = 0; v < chains; ++v) values[v] = Batch::load_unaligned(x + i * stride + v * Batch::size);
        for (std::size_t k = 0; k < i; ++k) {
            const Batch factor(l[i * lStride + k]);
            for (std::size_t v = 0; v < chains; ++v) values[v] = values[v] - factor * Batch::load_unaligned(x + k * stride + v * Batch::size);
        }
        const Batch pivot(l[i * lStride + i]);
        for (std::size_t v = 0; v < chains; ++v) (values[v] / pivot).store_unaligned(x + i * stride + v * Batch::size);
    }
}

template <class T>
Dense<T> table() {
    constexpr std::size_t width = xsimd::batch<T>::size;
    return {rows, registers * width, chains * width, &multiply<T>, &solve<T>};
}

}  // namespace

Dense<float> denseFloat() { return table<float>(); }
Dense<double> denseDouble() { return table<double>(); }

}  // namespace regauge::kernels::REGAUGE_ISA

// The inner loops of dense linear algebra, one instruction set a build (isa.hpp).
#include "kernels/dense.hpp"
#include "kernels/simd.hpp"

namespace regauge::kernels::REGAUGE_ISA {
namespace {

#if defined(__AVX512F__)
// 256-bit registers, of which AVX-512 has 32: on Zen 4, 512-bit multiplications and additions that are not fused reach
// 65 to 75 % of the peak and these 97 %.
template <class T>
using Batch = xsimd::batch<T, xsimd::avx2>;
#else
template <class T>
using Batch = xsimd::batch<T>;
#endif

// Rows of a and registers of b that are multiplied at a time: sums, operands and a product have to fit 32 registers
// (AVX-512, NEON) or 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr std::size_t rowsAtOnce = 8;
#else
constexpr std::size_t rowsAtOnce = 4;
#endif
constexpr std::size_t registers = 2;

// A strip of a: whole registers, so that packing can transpose squares.
constexpr std::size_t rows = 8;

// Independent chains of subtractions hide their latency.
constexpr std::size_t chains = 4;

// IEEE's quotient, rounded once. On NEON xsimd 13 divides floats by an estimate that it corrects twice
// (xsimd_neon.hpp): a third of those quotients are off in the last bit.
template <class T>
inline Batch<T> quotient(const Batch<T>& a, const Batch<T>& b) {
#if defined(__aarch64__)
    if constexpr (sizeof(T) == sizeof(float)) return Batch<T>(vdivq_f32(a, b));
#endif
    return a / b;
}

template <class T>
inline void multiplyRows(const T* a, const T* b, std::size_t depth, T* c, std::size_t stride) {
    constexpr std::size_t width = Batch<T>::size;
    constexpr std::size_t columns = registers * width;
    Batch<T> sums[rowsAtOnce][registers];
    for (std::size_t i = 0; i < rowsAtOnce; ++i) {
        for (std::size_t v = 0; v < registers; ++v) sums[i][v] = Batch<T>::load_unaligned(c + i * stride + v * width);
    }
    for (std::size_t k = 0; k < depth; ++k) {
        Batch<T> right[registers];
        for (std::size_t v = 0; v < registers; ++v) right[v] = Batch<T>::load_aligned(b + k * columns + v * width);
        for (std::size_t i = 0; i < rowsAtOnce; ++i) {
            const Batch<T> left(a[k * rows + i]);
            for (std::size_t v = 0; v < registers; ++v) sums[i][v] = sums[i][v] + left * right[v];
        }
    }
    for (std::size_t i = 0; i < rowsAtOnce; ++i) {
        for (std::size_t v = 0; v < registers; ++v) sums[i][v].store_unaligned(c + i * stride + v * width);
    }
}

template <class T>
void multiply(const T* a, const T* b, std::size_t depth, T* c, std::size_t stride) {
    for (std::size_t i = 0; i < rows; i += rowsAtOnce) multiplyRows(a + i, b, depth, c + i * stride, stride);
}

template <class T, std::size_t size>
void pack(const T* from, std::size_t acrossStride, std::size_t depthStride, std::size_t across, std::size_t depth,
          T sign, T* to) {
    constexpr std::size_t width = Batch<T>::size;
    static_assert(size % width == 0);
    const Batch<T> factor(sign);
    std::size_t done = 0;  // terms packed by whole registers
    if (across == size && acrossStride == 1) {
        for (; done < depth; ++done) {
            for (std::size_t i = 0; i < size; i += width) {
                (factor * Batch<T>::load_unaligned(from + done * depthStride + i)).store_aligned(to + done * size + i);
            }
        }
    } else if (across == size && depthStride == 1) {
        for (; done + width <= depth; done += width) {
            for (std::size_t i = 0; i < size; i += width) {
                Batch<T> square[width];
                for (std::size_t r = 0; r < width; ++r)
                    square[r] = factor * Batch<T>::load_unaligned(from + (i + r) * acrossStride + done);
                xsimd::transpose(square, square + width);
                for (std::size_t r = 0; r < width; ++r) square[r].store_aligned(to + (done + r) * size + i);
            }
        }
    }
    for (; done < depth; ++done) {
        for (std::size_t i = 0; i < size; ++i)
            to[done * size + i] = i < across ? sign * from[i * acrossStride + done * depthStride] : T(0);
    }
}

template <class T>
void solve(const T* l, std::size_t lStride, std::size_t n, T* x, std::size_t stride) {
    constexpr std::size_t width = Batch<T>::size;
    for (std::size_t i = 0; i < n; ++i) {
        Batch<T> values[chains];
        for (std::size_t v = 0; v < chains; ++v) values[v] = Batch<T>::load_unaligned(x + i * stride + v * width);
        for (std::size_t k = 0; k < i; ++k) {
            const Batch<T> factor(l[i * lStride + k]);
            for (std::size_t v = 0; v < chains; ++v)
                values[v] = values[v] - factor * Batch<T>::load_unaligned(x + k * stride + v * width);
        }
        const Batch<T> pivot(l[i * lStride + i]);
        for (std::size_t v = 0; v < chains; ++v) quotient(values[v], pivot).store_unaligned(x + i * stride + v * width);
    }
}

template <class T>
Dense<T> table() {
    constexpr std::size_t width = Batch<T>::size;
    constexpr std::size_t columns = registers * width;
    return {rows, columns, chains * width, &multiply<T>, &pack<T, rows>, &pack<T, columns>, &solve<T>};
}

}  // namespace

Dense<float> denseFloat() { return table<float>(); }
Dense<double> denseDouble() { return table<double>(); }

}  // namespace regauge::kernels::REGAUGE_ISA

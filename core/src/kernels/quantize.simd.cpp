// From float rows to panels of integers, one instruction set a build (isa.hpp).
#include "kernels/quantize.hpp"
#include "kernels/element.hpp"
#include "kernels/simd.hpp"

namespace regauge::kernels::REGAUGE_ISA {
namespace {

using Floats = xsimd::batch<float>;
using Words = xsimd::batch<std::uint32_t>;
constexpr std::size_t width = Floats::size;
static_assert(panelWidth % width == 0);

// Added to |t| < 2^22, this rounds t to the nearest even integer, which then stands in the low bits, two's complement.
constexpr float roundingBase = 0x1.8p23f;

// 16-bit words from memory, widened to 32 bits.
inline Words loadHalves(const std::byte* from) {
#if defined(__AVX512F__)
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__SSE2__) && !defined(__wasm__)
    return _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)), _mm_setzero_si128());
#elif defined(__aarch64__)
    return vmovl_u16(vreinterpret_u16_u8(vld1_u8(reinterpret_cast<const std::uint8_t*>(from))));
#elif defined(__wasm_simd128__)
    return wasm_u32x4_load16x4(from);
#endif
}

// Neighbouring elements of a row as floats: what element() in element.hpp does, `width` at a time.
template <Dtype dtype>
inline Floats load(const std::byte* from) {
    if constexpr (dtype == Dtype::F32) {
        return Floats::load_unaligned(reinterpret_cast<const float*>(from));
    } else if constexpr (dtype == Dtype::BF16) {
        return xsimd::bitwise_cast<float>(loadHalves(from) << 16);
    } else if constexpr (dtype == Dtype::F16) {
#if defined(__AVX512F__)
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
        const Words half = loadHalves(from);
        const Floats magnitude = xsimd::bitwise_cast<float>((half & Words(0x7fffu)) << 13) * Floats(0x1p112f);
        const Words special = xsimd::select((half & Words(0x7c00u)) == Words(0x7c00u), Words(0x7f800000u), Words(0u));
        return xsimd::bitwise_cast<float>(xsimd::bitwise_cast<std::uint32_t>(magnitude) | special |
                                          ((half & Words(0x8000u)) << 16));
#endif
    } else {
        alignas(64) float values[width];
        for (std::size_t j = 0; j < width; ++j) values[j] = element<dtype>(from + j * bytesOf<dtype>);
        return Floats::load_aligned(values);
    }
}

// Copies what is left of a row past the last whole panel, zeros after it.
template <Dtype dtype>
inline void copyTail(const std::byte* from, std::size_t count, std::byte* to) {
    std::memset(to, 0, panelWidth * bytesOf<dtype>);
    std::memcpy(to, from, count * bytesOf<dtype>);
}

template <Dtype dtype>
inline void addSquares(const std::byte* from, Floats scale, Floats* sums) {
    for (std::size_t v = 0; v < panelWidth / width; ++v) {
        const Floats x = load<dtype>(from + v * width * bytesOf<dtype>) * scale;
        sums[v] += x * x;
    }
}

template <Dtype dtype>
float sumOfSquares(const std::byte* row, std::size_t d, float scale) {
    Floats sums[panelWidth / width];
    for (Floats& sum : sums) sum = Floats(0.0f);
    std::size_t j = 0;
    for (; j + panelWidth <= d; j += panelWidth) addSquares<dtype>(row + j * bytesOf<dtype>, Floats(scale), sums);
    if (j < d) {
        std::byte tail[panelWidth * bytesOf<dtype>];
        copyTail<dtype>(row + j * bytesOf<dtype>, d - j, tail);
        addSquares<dtype>(tail, Floats(scale), sums);
    }
    float sum = 0;
    for (const Floats& part : sums) sum += xsimd::reduce_add(part);
    return sum;
}

// One group of one panel. rows[k] null: zeros.
template <Dtype dtype, std::size_t rowsPerWord>
inline void packPanel(const std::byte* const* rows, const float* centre, const float* inverseStep, int limit,
                      std::uint32_t* out) {
    constexpr std::uint32_t mask = rowsPerWord == 4 ? 0xff : 0xffff;
    constexpr int shift = rowsPerWord == 4 ? 8 : 16;
    const Floats high(static_cast<float>(limit));
    const Floats low(-static_cast<float>(limit));
    for (std::size_t j = 0; j < panelWidth; j += width) {
        const Floats middle = Floats::load_aligned(centre + j);
        const Floats scale = Floats::load_aligned(inverseStep + j);
        Words word(0u);
        for (std::size_t k = 0; k < rowsPerWord; ++k) {
            if (rows[k] == nullptr) continue;
            const Floats steps = (load<dtype>(rows[k] + j * bytesOf<dtype>) - middle) * scale;
            const Floats rounded = xsimd::min(xsimd::max(steps, low), high) + Floats(roundingBase);
            word =
                word | ((xsimd::bitwise_cast<std::uint32_t>(rounded) & Words(mask)) << (shift * static_cast<int>(k)));
        }
        word.store_aligned(out + j);
    }
}

template <Dtype dtype, std::size_t rowsPerWord>
void pack(const std::byte* const* rows, const float* centre, const float* inverseStep, int limit, std::size_t d,
          std::uint32_t* out, std::size_t panelStride) {
    const std::byte* at[rowsPerWord];
    for (std::size_t k = 0; k < rowsPerWord; ++k) at[k] = rows[k];
    std::size_t j = 0;
    for (; j + panelWidth <= d; j += panelWidth, out += panelStride) {
        packPanel<dtype, rowsPerWord>(at, centre + j, inverseStep + j, limit, out);
        for (const std::byte*& row : at) row = row == nullptr ? nullptr : row + panelWidth * bytesOf<dtype>;
    }
    if (j < d) {
        std::byte tails[rowsPerWord][panelWidth * bytesOf<dtype>];
        for (std::size_t k = 0; k < rowsPerWord; ++k) {
            if (at[k] == nullptr) continue;
            copyTail<dtype>(at[k], d - j, tails[k]);
            at[k] = tails[k];
        }
        packPanel<dtype, rowsPerWord>(at, centre + j, inverseStep + j, limit, out);
    }
}

float anySumOfSquares(const std::byte* row, Dtype dtype, std::size_t d, float scale) {
    switch (dtype) {
        case Dtype::F16: return sumOfSquares<Dtype::F16>(row, d, scale);
        case Dtype::BF16: return sumOfSquares<Dtype::BF16>(row, d, scale);
        case Dtype::F64: return sumOfSquares<Dtype::F64>(row, d, scale);
        default: return sumOfSquares<Dtype::F32>(row, d, scale);
    }
}

template <std::size_t rowsPerWord>
void packRows(const std::byte* const* rows, Dtype dtype, const float* centre, const float* inverseStep, int limit,
              std::size_t d, std::uint32_t* out, std::size_t panelStride) {
    switch (dtype) {
        case Dtype::F16: return pack<Dtype::F16, rowsPerWord>(rows, centre, inverseStep, limit, d, out, panelStride);
        case Dtype::BF16: return pack<Dtype::BF16, rowsPerWord>(rows, centre, inverseStep, limit, d, out, panelStride);
        case Dtype::F64: return pack<Dtype::F64, rowsPerWord>(rows, centre, inverseStep, limit, d, out, panelStride);
        default: return pack<Dtype::F32, rowsPerWord>(rows, centre, inverseStep, limit, d, out, panelStride);
    }
}

void anyPack(const std::byte* const* rows, std::size_t rowsPerWord, Dtype dtype, const float* centre,
             const float* inverseStep, int limit, std::size_t d, std::uint32_t* out, std::size_t panelStride) {
#if defined(__wasm__) && \
    !defined(__wasm_relaxed_simd__)  // no instruction for bytes (integer_dot.simd.cpp): only tested
    if (rowsPerWord == 4)
        return quantizeReference().pack(rows, rowsPerWord, dtype, centre, inverseStep, limit, d, out, panelStride);
#else
    if (rowsPerWord == 4) return packRows<4>(rows, dtype, centre, inverseStep, limit, d, out, panelStride);
#endif
    packRows<2>(rows, dtype, centre, inverseStep, limit, d, out, panelStride);
}

}  // namespace

Quantize quantize() { return {&anySumOfSquares, &anyPack}; }

}  // namespace regauge::kernels::REGAUGE_ISA

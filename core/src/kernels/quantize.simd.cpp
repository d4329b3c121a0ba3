// From float rows to panels of integers, one instruction set a build (isa.hpp).
#include "kernels/element.hpp"
#include "kernels/quantize.hpp"
#include "kernels/simd.hpp"

namespace regauge::kernels::REGAUGE_ISA {
namespace {

using Floats = xsimd::batch<float>;
using Words = xsimd::batch<std::uint32_t>;
constexpr std::size_t width = Floats::size;
static_assert(panelWidth % width == 0);

// Added to |t| < 2^22, this rounds t to the nearest even integer, which then stands in the low bits, two's complement.
constexpr float roundingBase = 0x1.8p23f;

// The elements of one row in one panel, as floats.
template <Dtype dtype>
inline void convert(const std::byte* from, float* to) {
    for (std::size_t j = 0; j < panelWidth; ++j) to[j] = element<dtype>(from + j * bytesOf<dtype>);
}
#if defined(__AVX512F__)
template <>
inline void convert<Dtype::F16>(const std::byte* from, float* to) {
    for (std::size_t j = 0; j < panelWidth; j += 16) {
        _mm512_store_ps(to + j, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 2 * j))));
    }
}
#elif defined(__F16C__)
template <>
inline void convert<Dtype::F16>(const std::byte* from, float* to) {
    for (std::size_t j = 0; j < panelWidth; j += 8) {
        _mm256_store_ps(to + j, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 2 * j))));
    }
}
#endif

// The elements that are left past the last whole panel, zeros after them.
template <Dtype dtype>
inline void convertTail(const std::byte* from, std::size_t count, float* to) {
    for (std::size_t j = 0; j < panelWidth; ++j) to[j] = j < count ? element<dtype>(from + j * bytesOf<dtype>) : 0.0f;
}

template <Dtype dtype>
float sumOfSquares(const std::byte* row, std::size_t d, float scale) {
    alignas(64) float values[panelWidth];
    Floats sums[panelWidth / width];
    for (Floats& sum : sums) sum = Floats(0.0f);
    for (std::size_t j = 0; j < d; j += panelWidth) {
        if (d - j >= panelWidth) {
            convert<dtype>(row + j * bytesOf<dtype>, values);
        } else {
            convertTail<dtype>(row + j * bytesOf<dtype>, d - j, values);
        }
        for (std::size_t v = 0; v < panelWidth / width; ++v) {
            const Floats x = Floats::load_aligned(values + v * width) * Floats(scale);
            sums[v] += x * x;
        }
    }
    alignas(64) float parts[panelWidth];
    for (std::size_t v = 0; v < panelWidth / width; ++v) sums[v].store_aligned(parts + v * width);
    float sum = 0;
    for (const float part : parts) sum += part;
    return sum;
}

// One group of one panel.
template <std::size_t rowsPerWord>
inline void packPanel(const float (*values)[panelWidth], const bool* present, const float* centre, const float* inverseStep, std::uint32_t* out) {
    constexpr std::uint32_t mask = rowsPerWord == 4 ? 0xff : 0xffff;
    constexpr int shift = rowsPerWord == 4 ? 8 : 16;
    const Floats high(static_cast<float>(quantizedLimit));
    const Floats low(-static_cast<float>(quantizedLimit));
    for (std::size_t j = 0; j < panelWidth; j += width) {
        const Floats middle = Floats::load_aligned(centre + j);
        const Floats scale = Floats::load_aligned(inverseStep + j);
        Words word(0u);
        for (std::size_t k = 0; k < rowsPerWord; ++k) {
            if (!present[k]) continue;
            const Floats steps = (Floats::load_aligned(values[k] + j) - middle) * scale;
            const Floats rounded = xsimd::min(xsimd::max(steps, low), high) + Floats(roundingBase);
            word = word | ((xsimd::bitwise_cast<std::uint32_t>(rounded) & Words(mask)) << (shift * static_cast<int>(k)));
        }
        word.store_aligned(out + j);
    }
}

template <Dtype dtype, std::size_t rowsPerWord>
void pack(const std::byte* const* rows, const float* centre, const float* inverseStep, std::size_t d, std::uint32_t* out, std::size_t panelStride) {
    alignas(64) float values[rowsPerWord][panelWidth];
    bool present[rowsPerWord];
    for (std::size_t k = 0; k < rowsPerWord; ++k) present[k] = rows[k] != nullptr;
    for (std::size_t j = 0; j < d; j += panelWidth, out += panelStride) {
        for (std::size_t k = 0; k < rowsPerWord; ++k) {
            if (!present[k]) continue;
            if (d - j >= panelWidth) {
                convert<dtype>(rows[k] + j * bytesOf<dtype>, values[k]);
            } else {
                convertTail<dtype>(rows[k] + j * bytesOf<dtype>, d - j, values[k]);
            }
        }
        packPanel<rowsPerWord>(values, present, centre + j, inverseStep + j, out);
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
void packRows(const std::byte* const* rows, Dtype dtype, const float* centre, const float* inverseStep, std::size_t d, std::uint32_t* out,
              std::size_t panelStride) {
    switch (dtype) {
        case Dtype::F16: return pack<Dtype::F16, rowsPerWord>(rows, centre, inverseStep, d, out, panelStride);
        case Dtype::BF16: return pack<Dtype::BF16, rowsPerWord>(rows, centre, inverseStep, d, out, panelStride);
        case Dtype::F64: return pack<Dtype::F64, rowsPerWord>(rows, centre, inverseStep, d, out, panelStride);
        default: return pack<Dtype::F32, rowsPerWord>(rows, centre, inverseStep, d, out, panelStride);
    }
}

void anyPack(const std::byte* const* rows, std::size_t rowsPerWord, Dtype dtype, const float* centre, const float* inverseStep, std::size_t d,
             std::uint32_t* out, std::size_t panelStride) {
    if (rowsPerWord == 4) return packRows<4>(rows, dtype, centre, inverseStep, d, out, panelStride);
    packRows<2>(rows, dtype, centre, inverseStep, d, out, panelStride);
}

}  // namespace

Quantize quantize() { return {&anySumOfSquares, &anyPack}; }

}  // namespace regauge::kernels::REGAUGE_ISA

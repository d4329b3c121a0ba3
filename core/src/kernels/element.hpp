// One element of a row as float32: little-endian bytes, any alignment. F64 rounds to nearest even, and overflows to
// infinity.
// Everything here is in an unnamed namespace, and std::bit_cast is avoided: kernels that are compiled once per
// instruction set include this file, and must not emit what others emit too (isa.hpp says why).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "regauge/tensor.hpp"

namespace regauge::kernels {
namespace {

static_assert(std::endian::native == std::endian::little, "rows are read as they lie in the file");

template <class Word>
inline Word loadWord(const std::byte* at) {
    Word word;
    std::memcpy(&word, at, sizeof word);
    return word;
}

template <Dtype dtype>
inline constexpr std::size_t bytesOf = dtype == Dtype::F64   ? 8
                                       : dtype == Dtype::F32 ? 4
                                                             : 2;

template <Dtype dtype>
inline float element(const std::byte* at) {
    if constexpr (dtype == Dtype::F32) {
        return loadWord<float>(at);
    } else if constexpr (dtype == Dtype::F64) {
        return static_cast<float>(loadWord<double>(at));
    } else if constexpr (dtype == Dtype::BF16) {
        return __builtin_bit_cast(float, std::uint32_t{loadWord<std::uint16_t>(at)} << 16);
    } else {
        static_assert(dtype == Dtype::F16);
        // Exponent and fraction into place, then the exponent's bias by a multiplication, which is exact and also right
        // for subnormals.
        const std::uint32_t half = loadWord<std::uint16_t>(at);
        const float magnitude = __builtin_bit_cast(float, (half & 0x7fffu) << 13) * 0x1p112f;
        const std::uint32_t special = (half & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;  // infinity and NaN
        return __builtin_bit_cast(float,
                                  __builtin_bit_cast(std::uint32_t, magnitude) | special | ((half & 0x8000u) << 16));
    }
}

}  // namespace
}  // namespace regauge::kernels

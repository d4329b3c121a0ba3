#include "base/float_blocks.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::size_t piece = 1024;  // elements that pass through float32 at a time

void check(std::size_t bytes, Dtype dtype, std::size_t count) {
    if (!isArithmetic(dtype) || bytes != count * byteSize(dtype))
        throw Error(
            ErrorCode::internal, "",
            std::to_string(bytes) + " bytes for " + std::to_string(count) + " elements of " + std::string(name(dtype)));
}

// The bits of the float32 next to `value`, whose last bit is set where it is not exact ("round to odd"): a second
// rounding, to a shorter format, is then the one that `value` itself would have had.
std::uint32_t oddFloat(double value) {
    const float nearest = static_cast<float>(value);
    std::uint32_t bits = std::bit_cast<std::uint32_t>(nearest);
    if (std::isnan(value) || static_cast<double>(nearest) == value) return bits;
    if (std::fabs(static_cast<double>(nearest)) > std::fabs(value))
        --bits;  // towards zero; from infinity to the largest float
    return bits | 1U;
}

// `bits` of a float32 shortened by `cut` bits, to nearest, ties to even.
std::uint32_t shortened(std::uint32_t bits, unsigned cut) {
    const std::uint32_t half = std::uint32_t{1} << (cut - 1), odd = bits >> cut & 1U;
    return (bits + half - 1 + odd) >> cut;
}

std::uint16_t toBf16(double value) {
    const std::uint32_t bits = oddFloat(value);
    if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);  // quiet, and never infinity
    return static_cast<std::uint16_t>(shortened(bits, 16));
}

std::uint16_t toF16(double value) {
    const std::uint32_t bits = oddFloat(value), sign = bits >> 16 & 0x8000U, magnitude = bits & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U | (magnitude >> 13 & 0x3FFU));
    std::uint32_t half = 0;
    if (magnitude >= 0x47800000U) {  // 65536 and more
        half = 0x7C00U;
    } else if (magnitude >= 0x38800000U) {  // 2^-14: normal numbers; rounding up may carry into the exponent, and to
                                            // infinity, as it should
        half = shortened(magnitude - (112U << 23), 13);
    } else if (magnitude >= 0x33000000U) {  // 2^-25: subnormal, in units of 2^-24
        const unsigned exponent = magnitude >> 23;
        half = shortened((magnitude & 0x7FFFFFU) | 0x800000U, 126 - exponent);
    }
    return static_cast<std::uint16_t>(sign | half);
}

// A 16-bit format's place in a double: its exponent's bias, and how many bits of the fraction it lacks.
struct Narrow {
    unsigned bias, cut;
    std::uint16_t (*convert)(double);
};
constexpr Narrow bf16{127, 45, toBf16}, f16{15, 42, toF16};

// Doubles whose nearest is a normal number of the format (or infinity by rounding up) are rounded as integers, without
// a branch: the exponent's bias changed, ties to even.
// A piece with any other number in it is converted one by one.
void storeNarrow(std::span<const double> values, const Narrow& format, std::byte* to) {
    constexpr std::size_t together = 64;
    constexpr std::uint64_t signBit = std::uint64_t{1} << 63;
    const std::uint64_t least = std::uint64_t{1023 - format.bias + 1} << 52;   // the smallest normal number
    const std::uint64_t beyond = std::uint64_t{1023 + format.bias + 1} << 52;  // twice the largest power of two
    const std::uint64_t half = (std::uint64_t{1} << (format.cut - 1)) - 1,
                        rebias = std::uint64_t{1023 - format.bias} << 52;
    std::array<std::uint16_t, together> words;
    for (std::size_t at = 0; at < values.size(); at += together) {
        const std::size_t count = std::min(together, values.size() - at);
        std::uint64_t outside = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint64_t bits = std::bit_cast<std::uint64_t>(values[at + i]), magnitude = bits & ~signBit;
            outside |= (magnitude - least) | (beyond - 1 - magnitude);  // a sign bit where it is below or above
            const std::uint64_t shifted = magnitude - rebias;
            words[i] = static_cast<std::uint16_t>((shifted + half + (shifted >> format.cut & 1U)) >> format.cut |
                                                  bits >> 63 << 15);
        }
        if ((outside & signBit) != 0)
            for (std::size_t i = 0; i < count; ++i) words[i] = format.convert(values[at + i]);
        std::memcpy(to + 2 * at, words.data(), 2 * count);
    }
}

}  // namespace

bool isArithmetic(Dtype dtype) {
    return dtype == Dtype::F16 || dtype == Dtype::BF16 || dtype == Dtype::F32 || dtype == Dtype::F64;
}

double largestOf(Dtype dtype) {
    check(0, dtype, 0);
    switch (dtype) {
        case Dtype::F16: return 65504;
        case Dtype::BF16: return 0x1.FEp127;
        case Dtype::F32: return std::numeric_limits<float>::max();
        default: return std::numeric_limits<double>::max();
    }
}

void loadDoubles(std::span<const std::byte> bytes, Dtype dtype, std::span<double> out) {
    check(bytes.size(), dtype, out.size());
    if (dtype == Dtype::F64) {
        if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
        return;
    }
    std::array<float, piece> floats;
    for (std::size_t at = 0; at < out.size(); at += piece) {
        const std::size_t count = std::min(piece, out.size() - at);
        convertToFloat(bytes.subspan(at * byteSize(dtype), count * byteSize(dtype)), dtype,
                       std::span(floats).first(count));
        std::copy_n(floats.begin(), count, out.begin() + static_cast<std::ptrdiff_t>(at));
    }
}

void storeDoubles(std::span<const double> values, Dtype dtype, std::span<std::byte> bytes) {
    check(bytes.size(), dtype, values.size());
    std::byte* to = bytes.data();
    const auto storeAll = [&](auto convert) {
        for (const double value : values) {
            const auto word = convert(value);
            std::memcpy(to, &word, sizeof word);
            to += sizeof word;
        }
    };
    switch (dtype) {
        case Dtype::F16: return storeNarrow(values, f16, to);
        case Dtype::BF16: return storeNarrow(values, bf16, to);
        case Dtype::F32: return storeAll([](double value) { return static_cast<float>(value); });
        default: return storeAll([](double value) { return value; });
    }
}

}  // namespace regauge

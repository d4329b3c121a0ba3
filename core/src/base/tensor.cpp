#include "regauge/tensor.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "regauge/error.hpp"

namespace regauge {

std::string_view name(Dtype dtype) {
    switch (dtype) {
#define REGAUGE_CASE(name, bytes, isFloat) \
    case Dtype::name: return #name;
        REGAUGE_DTYPES(REGAUGE_CASE)
#undef REGAUGE_CASE
    }
    return "?";
}

std::optional<Dtype> dtypeFromName(std::string_view text) {
#define REGAUGE_MATCH(name, bytes, isFloat) \
    if (text == #name) return Dtype::name;
    REGAUGE_DTYPES(REGAUGE_MATCH)
#undef REGAUGE_MATCH
    return std::nullopt;
}

std::size_t byteSize(Dtype dtype) {
    switch (dtype) {
#define REGAUGE_CASE(name, bytes, isFloat) \
    case Dtype::name: return bytes;
        REGAUGE_DTYPES(REGAUGE_CASE)
#undef REGAUGE_CASE
    }
    return 0;
}

bool isFloat(Dtype dtype) {
    switch (dtype) {
#define REGAUGE_CASE(name, bytes, isFloat) \
    case Dtype::name: return isFloat;
        REGAUGE_DTYPES(REGAUGE_CASE)
#undef REGAUGE_CASE
    }
    return false;
}

std::optional<std::uint64_t> elementCount(const Shape& shape) {
    constexpr std::uint64_t most = (std::uint64_t{1} << 63) - 1;
    std::uint64_t count = 1;
    bool empty = false;
    // A zero axis does not excuse the others: [0, 2^40, 2^40] overflows for whoever multiplies strides.
    for (const std::uint64_t n : shape) {
        if (n == 0) {
            empty = true;
            continue;
        }
        if (count > most / n) return std::nullopt;
        count *= n;
    }
    return empty ? 0 : count;
}

std::string toString(const Shape& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (i > 0) text += ", ";
        text += std::to_string(shape[i]);
    }
    return text + "]";
}

namespace {

template <class T>
T load(const std::byte* from) {
    static_assert(std::endian::native == std::endian::little, "regauge supports little-endian machines");
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

float fromF16(std::uint16_t half) {
    // Shifted into place, the exponent is 112 too small; the multiplication mends it, subnormals included, exactly.
    const std::uint32_t magnitude = std::uint32_t{half & 0x7FFFu} << 13;
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p112F;
    const std::uint32_t finite = std::bit_cast<std::uint32_t>(scaled);
    const std::uint32_t bits = (half & 0x7C00u) == 0x7C00u ? magnitude | 0x7F800000u : finite;
    return std::bit_cast<float>(bits | std::uint32_t{half & 0x8000u} << 16);
}

// One sign bit, then `exponentBits`, then the rest; `finiteOnly`: E4M3 as torch's float8_e4m3fn, whose only special
// value is NaN at all ones.
float fromF8(std::uint8_t byte, int exponentBits, bool finiteOnly) {
    const int mantissaBits = 7 - exponentBits;
    const int bias = (1 << (exponentBits - 1)) - 1;
    const int exponent = (byte & 0x7F) >> mantissaBits;
    const int mantissa = byte & ((1 << mantissaBits) - 1);
    const float sign = (byte & 0x80) != 0 ? -1.0F : 1.0F;
    const int top = (1 << exponentBits) - 1;
    if (finiteOnly ? (byte & 0x7F) == 0x7F : exponent == top && mantissa != 0)
        return std::copysign(std::nanf(""), sign);
    if (!finiteOnly && exponent == top) return sign * HUGE_VALF;
    if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissaBits);
    return sign * std::ldexp(static_cast<float>((1 << mantissaBits) + mantissa), exponent - bias - mantissaBits);
}

}  // namespace

void convertToFloat(std::span<const std::byte> in, Dtype dtype, std::span<float> out) {
    if (in.size() != out.size() * byteSize(dtype)) {
        throw Error(ErrorCode::internal, "",
                    "convertToFloat: " + std::to_string(in.size()) + " bytes for " + std::to_string(out.size()) +
                        " elements of " + std::string(name(dtype)));
    }
    const std::byte* from = in.data();
    const std::size_t count = out.size();
    switch (dtype) {
        case Dtype::F32:
            if (count > 0) std::memcpy(out.data(), from, in.size());
            return;
        case Dtype::F16:
            for (std::size_t i = 0; i < count; ++i) out[i] = fromF16(load<std::uint16_t>(from + 2 * i));
            return;
        case Dtype::BF16:
            for (std::size_t i = 0; i < count; ++i)
                out[i] = std::bit_cast<float>(std::uint32_t{load<std::uint16_t>(from + 2 * i)} << 16);
            return;
        case Dtype::F64:
            for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<float>(load<double>(from + 8 * i));
            return;
        case Dtype::F8_E4M3:
            for (std::size_t i = 0; i < count; ++i) out[i] = fromF8(std::to_integer<std::uint8_t>(from[i]), 4, true);
            return;
        case Dtype::F8_E5M2:
            for (std::size_t i = 0; i < count; ++i) out[i] = fromF8(std::to_integer<std::uint8_t>(from[i]), 5, false);
            return;
        default:
            throw Error(ErrorCode::wrongDtype, "",
                        "expected a float type (F16, BF16, F32, F64, F8), found " + std::string(name(dtype)));
    }
}

}  // namespace regauge

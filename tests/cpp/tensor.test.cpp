#include "regauge/tensor.hpp"

#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>

#include "refusal.hpp"
#include "regauge/error.hpp"

using namespace regauge;

namespace {

float convert(std::uint64_t bits, Dtype dtype) {
    float value = 0;
    convertToFloat(std::as_bytes(std::span(&bits, 1)).first(byteSize(dtype)), dtype, {&value, 1});
    return value;
}

// IEEE-like floats by their definition: sign, exponent, mantissa. `finite`: no infinity, and only all ones is NaN
// (float8_e4m3fn).
float byDefinition(unsigned bits, int exponentBits, int mantissaBits, bool finite) {
    const int exponent = static_cast<int>(bits >> mantissaBits) & ((1 << exponentBits) - 1);
    const int mantissa = static_cast<int>(bits) & ((1 << mantissaBits) - 1);
    const int bias = (1 << (exponentBits - 1)) - 1;
    const float sign = (bits >> (exponentBits + mantissaBits)) != 0 ? -1.0F : 1.0F;
    const bool top = exponent == (1 << exponentBits) - 1;
    if (top && (finite ? mantissa == (1 << mantissaBits) - 1 : mantissa != 0)) return std::nanf("");
    if (top && !finite) return sign * HUGE_VALF;
    if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissaBits);
    return sign * std::ldexp(1.0F + std::ldexp(static_cast<float>(mantissa), -mantissaBits), exponent - bias);
}

bool same(float a, float b) {
    return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

}  // namespace

TEST_CASE("dtypes: every bit pattern of the small floats converts as its definition says") {
    bool all = true;
    for (unsigned bits = 0; bits < 65536; ++bits)
        all = all && same(convert(bits, Dtype::F16), byDefinition(bits, 5, 10, false));
    CHECK(all);
    all = true;
    for (unsigned bits = 0; bits < 65536; ++bits)
        all = all && same(convert(bits, Dtype::BF16), byDefinition(bits, 8, 7, false));
    CHECK(all);
    all = true;
    for (unsigned bits = 0; bits < 256; ++bits)
        all = all && same(convert(bits, Dtype::F8_E4M3), byDefinition(bits, 4, 3, true)) &&
              same(convert(bits, Dtype::F8_E5M2), byDefinition(bits, 5, 2, false));
    CHECK(all);
    CHECK(convert(std::bit_cast<std::uint64_t>(-1.5), Dtype::F64) == -1.5F);
    CHECK(convert(0x7E, Dtype::F8_E4M3) == 448.0F);  // the largest float8_e4m3fn
    CHECK(test::codeOf([] { convert(1, Dtype::I32); }) == ErrorCode::wrongDtype);
}

TEST_CASE("dtypes: names and sizes come from the one table") {
#define CHECK_ROW(dtype, bytes, isAFloat)         \
    CHECK(name(Dtype::dtype) == #dtype);          \
    CHECK(dtypeFromName(#dtype) == Dtype::dtype); \
    CHECK(byteSize(Dtype::dtype) == bytes);       \
    CHECK(isFloat(Dtype::dtype) == isAFloat);
    REGAUGE_DTYPES(CHECK_ROW)
#undef CHECK_ROW
    CHECK_FALSE(dtypeFromName("F4").has_value());
    CHECK_FALSE(dtypeFromName("").has_value());
}

TEST_CASE("shapes: counts that do not fit 63 bits are no counts") {
    CHECK(elementCount({}) == 1);
    CHECK(elementCount({3, 4}) == 12);
    CHECK(elementCount({0, 5}) == 0);
    CHECK(elementCount({(1ULL << 62), 1}) == 1ULL << 62);
    CHECK_FALSE(elementCount({1ULL << 63}).has_value());
    CHECK_FALSE(elementCount({1ULL << 32, 1ULL << 31}).has_value());
    CHECK_FALSE(elementCount({0, 1ULL << 40, 1ULL << 40}).has_value());
    CHECK(toString(Shape{1024, 128}) == "[1024, 128]");
    CHECK(toString(Shape{}) == "[]");
}

#include "codec/ggml_blocks.hpp"

#include <algorithm>
#include <bit>

#include "io/bytes.hpp"

namespace regauge {
namespace {

constexpr std::size_t small = 32;   // numbers of a block of the older types
constexpr std::size_t super = 256;  // of a K-quant's

unsigned at(const std::byte* bytes, std::size_t i) { return std::to_integer<unsigned>(bytes[i]); }
float half(const std::byte* bytes) {
    float value = 0;
    convertToFloat({bytes, 2}, Dtype::F16, {&value, 1});
    return value;
}
float asFloat(unsigned value) { return static_cast<float>(static_cast<int>(value)); }

// The i-th of 32 four-bit numbers: the low halves of 16 bytes first, then the high ones.
unsigned nibble(const std::byte* bytes, std::size_t i) { return at(bytes, i % 16) >> (i / 16 * 4) & 0xF; }
// The i-th of 32 bits.
unsigned bit(const std::byte* bytes, std::size_t i) { return at(bytes, i / 8) >> (i % 8) & 1; }

// Number i of Q4_K and Q5_K: 32 low halves, then 32 high ones.
unsigned nibbleOf64(const std::byte* bytes, std::size_t i) {
    return at(bytes, i / 64 * 32 + i % 32) >> (i % 64 / 32 * 4) & 0xF;
}
// Number i of Q2_K, Q3_K and TQ2_0: the lowest two bits of 32 bytes, the next two, and so on.
unsigned twoBits(const std::byte* bytes, std::size_t i) {
    return at(bytes, i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
}

void q4_0(const std::byte* block, float* out) {
    const float d = half(block);
    for (std::size_t i = 0; i < small; ++i) out[i] = d * (asFloat(nibble(block + 2, i)) - 8.0F);
}

void q4_1(const std::byte* block, float* out) {
    const float d = half(block), m = half(block + 2);
    for (std::size_t i = 0; i < small; ++i) out[i] = d * asFloat(nibble(block + 4, i)) + m;
}

void q5_0(const std::byte* block, float* out) {
    const float d = half(block);
    for (std::size_t i = 0; i < small; ++i)
        out[i] = d * (asFloat(nibble(block + 6, i) | bit(block + 2, i) << 4) - 16.0F);
}

void q5_1(const std::byte* block, float* out) {
    const float d = half(block), m = half(block + 2);
    for (std::size_t i = 0; i < small; ++i) out[i] = d * asFloat(nibble(block + 8, i) | bit(block + 4, i) << 4) + m;
}

float signedByte(const std::byte* bytes, std::size_t i) {
    return static_cast<float>(static_cast<std::int8_t>(at(bytes, i)));
}

void q8_0(const std::byte* block, float* out) {
    const float d = half(block);
    for (std::size_t i = 0; i < small; ++i) out[i] = signedByte(block + 2, i) * d;
}

void q2_K(const std::byte* block, float* out) {
    const float d = half(block + 80), dmin = half(block + 82);
    for (std::size_t i = 0; i < super; ++i) {
        const unsigned scale = at(block, i / 16);
        out[i] = (d * asFloat(scale & 0xF)) * asFloat(twoBits(block + 16, i)) - dmin * asFloat(scale >> 4);
    }
}

void q3_K(const std::byte* block, float* out) {
    const std::byte* const scales = block + 96;
    const float d = half(block + 108);
    for (std::size_t i = 0; i < super; ++i) {
        const std::size_t k = i / 16;
        const unsigned scale = (at(scales, k % 8) >> (k / 8 * 4) & 0xF) | (at(scales, 8 + k % 4) >> (k / 4 * 2) & 3)
                                                                              << 4;
        const bool whole = (at(block, i % 32) >> (i / 32) & 1) != 0;  // otherwise four less
        const float q = asFloat(twoBits(block + 32, i)) - (whole ? 0.0F : 4.0F);
        out[i] = (d * (asFloat(scale) - 32.0F)) * q;
    }
}

// The k-th of eight scales and eight minima of six bits each, in twelve bytes:
//   0..3 EEAAAAAA   4..7 eeaaaaaa   8..11 eeeeEEEE       A, a: the first four; E, e: the last four
struct ScaleAndMinimum {
    float scale, minimum;
};
ScaleAndMinimum sixBits(const std::byte* bytes, std::size_t k) {
    if (k < 4) return {asFloat(at(bytes, k) & 0x3F), asFloat(at(bytes, 4 + k) & 0x3F)};
    const unsigned low = at(bytes, 4 + k);
    return {asFloat((low & 0xF) | (at(bytes, k - 4) >> 2 & 0x30)), asFloat(low >> 4 | (at(bytes, k) >> 2 & 0x30))};
}

void q4_K(const std::byte* block, float* out) {
    const float d = half(block), dmin = half(block + 2);
    for (std::size_t i = 0; i < super; ++i) {
        const ScaleAndMinimum own = sixBits(block + 4, i / 32);
        out[i] = (d * own.scale) * asFloat(nibbleOf64(block + 16, i)) - dmin * own.minimum;
    }
}

void q5_K(const std::byte* block, float* out) {
    const float d = half(block), dmin = half(block + 2);
    for (std::size_t i = 0; i < super; ++i) {
        const ScaleAndMinimum own = sixBits(block + 4, i / 32);
        const unsigned high = at(block + 16, i % 32) >> (i / 32) & 1;
        out[i] = (d * own.scale) * asFloat(nibbleOf64(block + 48, i) | high << 4) - dmin * own.minimum;
    }
}

void q6_K(const std::byte* block, float* out) {
    const float d = half(block + 208);
    for (std::size_t i = 0; i < super; ++i) {
        // Of each 128 numbers: 64 low halves, then 64 high ones.
        const unsigned low = at(block, i / 128 * 64 + i % 64) >> (i % 128 / 64 * 4) & 0xF;
        const unsigned q = low | twoBits(block + 128, i) << 4;
        out[i] = (d * signedByte(block + 192, i / 16)) * (asFloat(q) - 32.0F);
    }
}

constexpr float nonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void iq4_NL(const std::byte* block, float* out) {
    const float d = half(block);
    for (std::size_t i = 0; i < small; ++i) out[i] = d * nonLinear[nibble(block + 2, i)];
}

void iq4_XS(const std::byte* block, float* out) {
    const float d = half(block);
    const unsigned high = loadLittle<std::uint16_t>(block + 2);
    for (std::size_t i = 0; i < super; ++i) {
        const std::size_t k = i / 32;
        const unsigned scale = (at(block + 4, k / 2) >> (k % 2 * 4) & 0xF) | (high >> (2 * k) & 3) << 4;
        out[i] = (d * (asFloat(scale) - 32.0F)) * nonLinear[nibble(block + 8 + k * 16, i % 32)];
    }
}

void tq2_0(const std::byte* block, float* out) {
    const float d = half(block + 64);
    for (std::size_t i = 0; i < super; ++i) out[i] = d * (asFloat(twoBits(block, i)) - 1.0F);
}

// Five ternary digits a byte: 32 bytes and their digits one after the other, then 16; the last 16 numbers four a byte.
void tq1_0(const std::byte* block, float* out) {
    constexpr unsigned powers[] = {1, 3, 9, 27, 81};
    const float d = half(block + 52);
    const auto digit = [&](std::size_t byte, std::size_t power) {
        return d * (asFloat(((at(block, byte) * powers[power]) & 0xFF) * 3 >> 8) - 1.0F);
    };
    for (std::size_t i = 0; i < 160; ++i) out[i] = digit(i % 32, i / 32);
    for (std::size_t i = 0; i < 80; ++i) out[160 + i] = digit(32 + i % 16, i / 16);
    for (std::size_t i = 0; i < 16; ++i) out[240 + i] = digit(48 + i % 4, i / 4);
}

constexpr float doubledE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void mxfp4(const std::byte* block, float* out) {
    const std::uint32_t e = at(block, 0);  // half of 2^(e - 127); the first two are subnormal
    const float d = std::bit_cast<float>(e < 2 ? std::uint32_t{0x00200000} << e : (e - 1) << 23);
    for (std::size_t i = 0; i < small; ++i) out[i] = d * doubledE2M1[nibble(block + 1, i)];
}

constexpr GgmlType types[] = {
    {0, "F32", 1, 4, Dtype::F32},
    {1, "F16", 1, 2, Dtype::F16},
    {24, "I8", 1, 1, Dtype::I8},
    {25, "I16", 1, 2, Dtype::I16},
    {26, "I32", 1, 4, Dtype::I32},
    {27, "I64", 1, 8, Dtype::I64},
    {28, "F64", 1, 8, Dtype::F64},
    {30, "BF16", 1, 2, Dtype::BF16},
    {2, "Q4_0", 32, 18, std::nullopt, q4_0},
    {3, "Q4_1", 32, 20, std::nullopt, q4_1},
    {6, "Q5_0", 32, 22, std::nullopt, q5_0},
    {7, "Q5_1", 32, 24, std::nullopt, q5_1},
    {8, "Q8_0", 32, 34, std::nullopt, q8_0},
    {9, "Q8_1", 32, 36, std::nullopt},
    {10, "Q2_K", 256, 84, std::nullopt, q2_K},
    {11, "Q3_K", 256, 110, std::nullopt, q3_K},
    {12, "Q4_K", 256, 144, std::nullopt, q4_K},
    {13, "Q5_K", 256, 176, std::nullopt, q5_K},
    {14, "Q6_K", 256, 210, std::nullopt, q6_K},
    {15, "Q8_K", 256, 292, std::nullopt},
    {16, "IQ2_XXS", 256, 66, std::nullopt},
    {17, "IQ2_XS", 256, 74, std::nullopt},
    {18, "IQ3_XXS", 256, 98, std::nullopt},
    {19, "IQ1_S", 256, 50, std::nullopt},
    {20, "IQ4_NL", 32, 18, std::nullopt, iq4_NL},
    {21, "IQ3_S", 256, 110, std::nullopt},
    {22, "IQ2_S", 256, 82, std::nullopt},
    {23, "IQ4_XS", 256, 136, std::nullopt, iq4_XS},
    {29, "IQ1_M", 256, 56, std::nullopt},
    {34, "TQ1_0", 256, 54, std::nullopt, tq1_0},
    {35, "TQ2_0", 256, 66, std::nullopt, tq2_0},
    {39, "MXFP4", 32, 17, std::nullopt, mxfp4},
};

template <class Fits>
const GgmlType* firstThat(Fits fits) {
    const auto found = std::find_if(std::begin(types), std::end(types), fits);
    return found == std::end(types) ? nullptr : found;
}

}  // namespace

const GgmlType* ggmlType(std::uint32_t id) {
    return firstThat([&](const GgmlType& type) { return type.id == id; });
}

const GgmlType* ggmlType(std::string_view name) {
    return firstThat([&](const GgmlType& type) { return type.name == name; });
}

bool isOpaque(std::string_view name) {
    const GgmlType* type = ggmlType(name);
    return type && !type->dtype && !type->unpack;
}

void unpackBlocks(const GgmlType& type, std::span<const std::byte> blocks, std::span<float> out) {
    const std::size_t elements = static_cast<std::size_t>(type.elements), bytes = static_cast<std::size_t>(type.bytes);
    for (std::size_t i = 0; i < out.size() / elements; ++i)
        type.unpack(blocks.data() + i * bytes, out.data() + i * elements);
}

}  // namespace regauge

// Sums of products of quantised channels, one instruction set a build (isa.hpp). A register holds words of neighbouring
// channels of panel b; a word of panel a is broadcast; one instruction multiplies the 4 or 2 rows in each word and adds
// them to 32-bit sums.
#include "kernels/integer_dot.hpp"

#if defined(__AVX512VNNI__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__) && !defined(__wasm__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

namespace regauge::kernels::REGAUGE_ISA {
namespace {

// Per instruction set: Words (a register), its width in words, and the shape of the register tile (rowsAtOnce channels
// of a times registersAtOnce registers of b, chosen so that sums, operands and a product fit the register file). Then
// what a word holds, Bytes or Halves:
//   dot(sum, a, b)   sum + the products of a and b, added within each word
//   operand(b)       b as dot's third argument wants it
//   bias             what operand() adds to each value of b, to be taken off again: dot gives sum of a (b + bias)

struct Pairs {
    static constexpr std::size_t rowsPerWord = 2;
    static constexpr std::int32_t bias = 0;
    template <class Words>
    static Words operand(Words b) {
        return b;
    }
};

#if (defined(__AVX2__) && !defined(__AVXVNNI__) && !defined(__AVX512VNNI__)) || defined(__wasm_relaxed_simd__)
// Bytes whose products are added in 16 bits, which may saturate: b of seven bits is taken with an offset, so that
// (b + 64) a is at most 127 * 127 in size and two products fit. More are added in 16 bits where the a are small enough:
// as many as safe() finds.
struct ShortBytes {
    static constexpr std::size_t rowsPerWord = 4;
    static constexpr std::int32_t bias = 64;
    static constexpr std::size_t rowsAtOnce = 8;  // channels of a, beside one register of b
    static constexpr std::size_t groupsAtOnce = 4;
    static constexpr int most = 32767 / 127;  // that |a| may add up to in one lane of 16 bits
};
#define REGAUGE_SHORT_SUMS
#endif

#if defined(__AVX512VNNI__)
using Words = __m512i;
constexpr std::size_t width = 16;
constexpr std::size_t rowsAtOnce = 4;
constexpr std::size_t registersAtOnce = 2;
inline Words load(const void* from) { return _mm512_load_si512(from); }
inline void store(void* to, Words words) { _mm512_store_si512(to, words); }
inline Words broadcast(std::int32_t word) { return _mm512_set1_epi32(word); }
inline Words add(Words a, Words b) { return _mm512_add_epi32(a, b); }
struct Halves : Pairs {
    static Words dot(Words sum, Words a, Words b) { return _mm512_dpwssd_epi32(sum, a, b); }
};
struct Bytes {
    static constexpr std::size_t rowsPerWord = 4;
    static constexpr std::int32_t bias = 128;
    // vpdpbusd multiplies unsigned with signed bytes: b + 128 is b with its top bit flipped.
    static Words operand(Words b) { return _mm512_xor_si512(b, _mm512_set1_epi8(-128)); }
    static Words dot(Words sum, Words a, Words b) { return _mm512_dpbusd_epi32(sum, b, a); }
};
#define REGAUGE_BYTES
#elif defined(__AVX2__)
using Words = __m256i;
constexpr std::size_t width = 8;
constexpr std::size_t rowsAtOnce = 4;
constexpr std::size_t registersAtOnce = 2;
inline Words load(const void* from) { return _mm256_load_si256(static_cast<const Words*>(from)); }
inline void store(void* to, Words words) { _mm256_store_si256(static_cast<Words*>(to), words); }
inline Words broadcast(std::int32_t word) { return _mm256_set1_epi32(word); }
inline Words add(Words a, Words b) { return _mm256_add_epi32(a, b); }
#if defined(__AVXVNNI__)
struct Halves : Pairs {
    static Words dot(Words sum, Words a, Words b) { return _mm256_dpwssd_avx_epi32(sum, a, b); }
};
struct Bytes {
    static constexpr std::size_t rowsPerWord = 4;
    static constexpr std::int32_t bias = 128;
    static Words operand(Words b) { return _mm256_xor_si256(b, _mm256_set1_epi8(-128)); }
    static Words dot(Words sum, Words a, Words b) { return _mm256_dpbusd_avx_epi32(sum, b, a); }
};
#define REGAUGE_BYTES
#else
struct Halves : Pairs {
    static Words dot(Words sum, Words a, Words b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
};
// vpmaddubsw: unsigned times signed bytes, and two such products added in 16 bits
struct ShortSums : ShortBytes {
    static Words operand(Words b) { return _mm256_add_epi8(b, _mm256_set1_epi8(bias)); }
    static Words products(Words a, Words b) { return _mm256_maddubs_epi16(b, a); }
    static Words addShort(Words a, Words b) { return _mm256_add_epi16(a, b); }
    static Words widen(Words pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
    static Words dot(Words sum, Words a, Words b) { return add(sum, widen(products(a, b))); }
    static Words size(Words a) { return _mm256_abs_epi8(a); }
    static Words larger(Words a, Words b) { return _mm256_max_epi16(a, b); }
    static bool above(Words shorts, int limit) {
        return _mm256_movemask_epi8(_mm256_cmpgt_epi16(shorts, _mm256_set1_epi16(static_cast<short>(limit)))) != 0;
    }
};
#endif
#elif defined(__SSE2__) && !defined(__wasm__)
using Words = __m128i;
constexpr std::size_t width = 4;
constexpr std::size_t rowsAtOnce = 4;
constexpr std::size_t registersAtOnce = 2;
inline Words load(const void* from) { return _mm_load_si128(static_cast<const Words*>(from)); }
inline void store(void* to, Words words) { _mm_store_si128(static_cast<Words*>(to), words); }
inline Words broadcast(std::int32_t word) { return _mm_set1_epi32(word); }
inline Words add(Words a, Words b) { return _mm_add_epi32(a, b); }
struct Halves : Pairs {
    static Words dot(Words sum, Words a, Words b) { return _mm_add_epi32(sum, _mm_madd_epi16(a, b)); }
};
#elif defined(__aarch64__)
using Words = int32x4_t;
constexpr std::size_t width = 4;
constexpr std::size_t rowsAtOnce = 8;
constexpr std::size_t registersAtOnce = 2;
inline Words load(const void* from) { return vld1q_s32(static_cast<const std::int32_t*>(from)); }
inline void store(void* to, Words words) { vst1q_s32(static_cast<std::int32_t*>(to), words); }
inline Words broadcast(std::int32_t word) { return vdupq_n_s32(word); }
inline Words add(Words a, Words b) { return vaddq_s32(a, b); }
struct Halves : Pairs {
    static Words dot(Words sum, Words a, Words b) {
        const int16x8_t x = vreinterpretq_s16_s32(a);
        const int16x8_t y = vreinterpretq_s16_s32(b);
        return vaddq_s32(sum, vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
    }
};
#if defined(__ARM_FEATURE_DOTPROD)
struct Bytes {
    static constexpr std::size_t rowsPerWord = 4;
    static constexpr std::int32_t bias = 0;
    static Words operand(Words b) { return b; }
    static Words dot(Words sum, Words a, Words b) {
        return vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
    }
};
#define REGAUGE_BYTES
#else
// Without that instruction (Armv8.0): products of bytes are added up in 16 bits, four groups of rows at a time, which
// 127 * 63 allow, and only then in pairs to 32.
struct LongBytes {
    static constexpr std::size_t rowsPerWord = 4;
    static constexpr std::int32_t bias = 0;
    static constexpr std::size_t rowsAtOnce = 4;  // channels of a, beside one register of b
    static constexpr std::size_t groupsAtOnce = 4;
    static Words operand(Words b) { return b; }
    static Words dot(Words sum, Words a, Words b) {
        const int8x16_t x = vreinterpretq_s8_s32(a);
        const int8x16_t y = vreinterpretq_s8_s32(b);
        return vaddq_s32(
            sum, vpaddq_s32(vpaddlq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(y))), vpaddlq_s16(vmull_high_s8(x, y))));
    }
};
#define REGAUGE_LONG_BYTES
#endif
#elif defined(__wasm_simd128__)
using Words = v128_t;
constexpr std::size_t width = 4;
constexpr std::size_t rowsAtOnce = 4;
constexpr std::size_t registersAtOnce = 2;
inline Words load(const void* from) { return wasm_v128_load(from); }
inline void store(void* to, Words words) { wasm_v128_store(to, words); }
inline Words broadcast(std::int32_t word) { return wasm_i32x4_splat(word); }
inline Words add(Words a, Words b) { return wasm_i32x4_add(a, b); }
struct Halves : Pairs {
    static Words dot(Words sum, Words a, Words b) { return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(a, b)); }
};
#if defined(__wasm_relaxed_simd__)
// The relaxed product of signed bytes with bytes from 0 to 127: what engines may do differently is only what they make
// of larger ones, so the bits are the same everywhere (WebAssembly, relaxed SIMD, i16x8.relaxed_dot_i8x16_i7x16_s).
struct ShortSums : ShortBytes {
    static Words operand(Words b) { return wasm_i8x16_add(b, wasm_i8x16_splat(bias)); }
    static Words products(Words a, Words b) { return wasm_i16x8_relaxed_dot_i8x16_i7x16(a, b); }
    static Words addShort(Words a, Words b) { return wasm_i16x8_add(a, b); }
    static Words widen(Words pairs) { return wasm_i32x4_extadd_pairwise_i16x8(pairs); }
    static Words dot(Words sum, Words a, Words b) { return add(sum, widen(products(a, b))); }
    static Words size(Words a) { return wasm_i8x16_abs(a); }
    static Words larger(Words a, Words b) { return wasm_i16x8_max(a, b); }
    static bool above(Words shorts, int limit) {
        return wasm_v128_any_true(wasm_i16x8_gt(shorts, wasm_i16x8_splat(static_cast<short>(limit))));
    }
};
#endif
#endif

constexpr std::size_t columnsAtOnce = registersAtOnce * width;

// One register tile: rowsAtOnce channels of a, columnsAtOnce of b, all rows.
template <class Word>
inline void multiply(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* aSums, std::size_t groups,
                     std::int32_t* tile) {
    Words sums[rowsAtOnce][registersAtOnce];
    for (std::size_t i = 0; i < rowsAtOnce; ++i) {
        for (std::size_t v = 0; v < registersAtOnce; ++v) sums[i][v] = broadcast(-Word::bias * aSums[i]);
    }
    for (; groups > 0; --groups, a += panelWidth, b += panelWidth) {
        Words columns[registersAtOnce];
        for (std::size_t v = 0; v < registersAtOnce; ++v) columns[v] = Word::operand(load(b + v * width));
        for (std::size_t i = 0; i < rowsAtOnce; ++i) {
            const Words row = broadcast(static_cast<std::int32_t>(a[i]));
            for (std::size_t v = 0; v < registersAtOnce; ++v) sums[i][v] = Word::dot(sums[i][v], row, columns[v]);
        }
    }
    for (std::size_t i = 0; i < rowsAtOnce; ++i) {
        for (std::size_t v = 0; v < registersAtOnce; ++v) {
            std::int32_t* to = tile + i * panelWidth + v * width;
            store(to, add(load(to), sums[i][v]));
        }
    }
}

template <class Word>
void tileOf(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* aSums, unsigned, std::size_t groups,
            std::int32_t* tile) {
    for (std::size_t j = 0; j < panelWidth; j += columnsAtOnce) {
        for (std::size_t i = 0; i < panelWidth; i += rowsAtOnce)
            multiply<Word>(a + i, b + j, aSums + i, groups, tile + i * panelWidth + j);
    }
}

template <class Word>
unsigned sumsOf(const std::uint32_t* b, std::size_t groups, std::int32_t* sums, std::int32_t* squares) {
    const Words one = broadcast(Word::rowsPerWord == 4 ? 0x01010101 : 0x00010001);
    for (std::size_t j = 0; j < panelWidth; j += width) {
        Words sum = broadcast(0);
        Words square = broadcast(0);
        for (std::size_t group = 0; group < groups; ++group) {
            const Words words = load(b + group * panelWidth + j);
            sum = Word::dot(sum, one, Word::operand(words));
            square = Word::dot(square, words, Word::operand(words));
        }
        // Off with the bias: sum holds sum of (b + bias), square holds sum of b (b + bias).
        sum = add(sum, broadcast(-Word::bias * static_cast<std::int32_t>(groups * Word::rowsPerWord)));
        store(sums + j, sum);
        store(squares + j, square);
        for (std::size_t k = j; k < j + width; ++k) squares[k] -= Word::bias * sums[k];
    }
    return 1;
}

#if defined(REGAUGE_LONG_BYTES)
// Two neighbouring channels of b in `low`, two in `high`, each as two sums.
struct LongSums {
    Words low[LongBytes::rowsAtOnce];
    Words high[LongBytes::rowsAtOnce];
};

template <std::size_t groups>
inline void addProducts(const std::uint32_t* a, const std::uint32_t* b, LongSums& sums) {
    int8x16_t columns[groups];
    for (std::size_t g = 0; g < groups; ++g) columns[g] = vreinterpretq_s8_s32(load(b + g * panelWidth));
    for (std::size_t i = 0; i < LongBytes::rowsAtOnce; ++i) {
        int16x8_t low = vdupq_n_s16(0);
        int16x8_t high = vdupq_n_s16(0);
        for (std::size_t g = 0; g < groups; ++g) {
            const int8x16_t row = vreinterpretq_s8_s32(broadcast(static_cast<std::int32_t>(a[g * panelWidth + i])));
            low = vmlal_s8(low, vget_low_s8(row), vget_low_s8(columns[g]));
            high = vmlal_high_s8(high, row, columns[g]);
        }
        sums.low[i] = vpadalq_s16(sums.low[i], low);
        sums.high[i] = vpadalq_s16(sums.high[i], high);
    }
}

void tileOfLongBytes(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t*, unsigned, std::size_t groups,
                     std::int32_t* tile) {
    constexpr std::size_t step = LongBytes::groupsAtOnce;
    for (std::size_t i = 0; i < panelWidth; i += LongBytes::rowsAtOnce) {
        for (std::size_t j = 0; j < panelWidth; j += width) {
            LongSums sums;
            for (std::size_t k = 0; k < LongBytes::rowsAtOnce; ++k) sums.low[k] = sums.high[k] = broadcast(0);
            std::size_t group = 0;
            for (; group + step <= groups; group += step)
                addProducts<step>(a + group * panelWidth + i, b + group * panelWidth + j, sums);
            for (; group < groups; ++group)
                addProducts<1>(a + group * panelWidth + i, b + group * panelWidth + j, sums);
            for (std::size_t k = 0; k < LongBytes::rowsAtOnce; ++k) {
                std::int32_t* to = tile + (i + k) * panelWidth + j;
                store(to, add(load(to), vpaddq_s32(sums.low[k], sums.high[k])));
            }
        }
    }
}
#endif

#if defined(REGAUGE_SHORT_SUMS)
// One register tile: rowsAtOnce channels of a, a register of b, all rows; widened every so many groups of rows.
template <std::size_t widenEvery>
inline void multiplyShort(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* aSums, std::size_t groups,
                          std::int32_t* tile) {
    using Word = ShortSums;
    Words sums[Word::rowsAtOnce];
    for (std::size_t i = 0; i < Word::rowsAtOnce; ++i) sums[i] = broadcast(-Word::bias * aSums[i]);
    const auto row = [&](std::size_t group, std::size_t i) {
        return broadcast(static_cast<std::int32_t>(a[group * panelWidth + i]));
    };
    constexpr std::size_t step = Word::groupsAtOnce;
    for (; groups >= step; groups -= step, a += step * panelWidth, b += step * panelWidth) {
        Words columns[step];
        for (std::size_t g = 0; g < step; ++g) columns[g] = Word::operand(load(b + g * panelWidth));
        for (std::size_t i = 0; i < Word::rowsAtOnce; ++i) {
            for (std::size_t g = 0; g < step; g += widenEvery) {
                Words pairs = Word::products(row(g, i), columns[g]);
                for (std::size_t k = g + 1; k < g + widenEvery; ++k)
                    pairs = Word::addShort(pairs, Word::products(row(k, i), columns[k]));
                sums[i] = add(sums[i], Word::widen(pairs));
            }
        }
    }
    for (; groups > 0; --groups, a += panelWidth, b += panelWidth) {
        const Words column = Word::operand(load(b));
        for (std::size_t i = 0; i < Word::rowsAtOnce; ++i) sums[i] = Word::dot(sums[i], row(0, i), column);
    }
    for (std::size_t i = 0; i < Word::rowsAtOnce; ++i)
        store(tile + i * panelWidth, add(load(tile + i * panelWidth), sums[i]));
}

template <std::size_t widenEvery>
void shortTile(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* aSums, std::size_t groups,
               std::int32_t* tile) {
    for (std::size_t i = 0; i < panelWidth; i += ShortSums::rowsAtOnce) {
        for (std::size_t j = 0; j < panelWidth; j += width)
            multiplyShort<widenEvery>(a + i, b + j, aSums + i, groups, tile + i * panelWidth + j);
    }
}

void tileOfBytes(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* aSums, unsigned aRun,
                 std::size_t groups, std::int32_t* tile) {
    (aRun == 4 ? shortTile<4> : aRun == 2 ? shortTile<2> : shortTile<1>)(a, b, aSums, groups, tile);
}

// Whether no lane of 16 bits can overflow in so many groups of rows.
template <std::size_t run>
bool safe(const std::uint32_t* a, std::size_t groups) {
    const Words one = broadcast(0x01010101);
    Words largest = broadcast(0);
    for (std::size_t i = 0; i < panelWidth; i += width) {
        for (std::size_t group = 0; group < groups; group += run) {
            Words sum = broadcast(0);
            for (std::size_t k = group; k < groups && k < group + run; ++k)
                sum = ShortSums::addShort(sum, ShortSums::products(one, ShortSums::size(load(a + k * panelWidth + i))));
            largest = ShortSums::larger(largest, sum);
        }
    }
    return !ShortSums::above(largest, ShortSums::most);
}

unsigned sumsOfBytes(const std::uint32_t* a, std::size_t groups, std::int32_t* sums, std::int32_t* squares) {
    for (std::size_t i = 0; i < panelWidth; i += width) {
        Words sum = broadcast(0);
        Words square = broadcast(0);
        for (std::size_t group = 0; group < groups; ++group) {
            const Words words = load(a + group * panelWidth + i);
            const Words size = ShortSums::size(words);
            sum = add(sum, ShortSums::widen(ShortSums::products(words, broadcast(0x01010101))));
            square = add(square, ShortSums::widen(ShortSums::products(size, size)));
        }
        store(sums + i, sum);
        store(squares + i, square);
    }
    return safe<4>(a, groups) ? 4 : safe<2>(a, groups) ? 2 : 1;
}
#endif

}  // namespace

IntegerDot halves() { return {Halves::rowsPerWord, &tileOf<Halves>, &sumsOf<Halves>}; }

#if defined(REGAUGE_SHORT_SUMS)
IntegerDot bytes() { return {ShortSums::rowsPerWord, &tileOfBytes, &sumsOfBytes}; }
#elif defined(REGAUGE_LONG_BYTES)
IntegerDot bytes() { return {LongBytes::rowsPerWord, &tileOfLongBytes, &sumsOf<LongBytes>}; }
#elif defined(REGAUGE_BYTES)
IntegerDot bytes() { return {Bytes::rowsPerWord, &tileOf<Bytes>, &sumsOf<Bytes>}; }
#else
IntegerDot bytes() { return halves(); }  // no instruction that multiplies signed bytes
#endif

}  // namespace regauge::kernels::REGAUGE_ISA

// What one core could do at most, measured: the rate of the bare instructions that the widest kernels use, on registers
// alone.
// G ops/s, a multiplication and an addition being two; by CPU time, as the benchmarks count it. 0 where it is not known
// how to measure it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <ctime>

#include "regauge/isa.hpp"

namespace regauge::bench {

#if defined(__x86_64__)
// In assembly: a compiler sees that the chains are equal, or keeps them in memory. Twelve chains are more than latency
// times throughput.
#define REGAUGE_TWELVE(X) X("0") X("1") X("2") X("3") X("4") X("5") X("6") X("7") X("8") X("9") X("10") X("11")
#define REGAUGE_BARE(name, STEP)                                                                               \
    inline void name(std::size_t rounds) {                                                                     \
        for (std::size_t i = 0; i < rounds; ++i)                                                               \
            asm volatile(REGAUGE_TWELVE(STEP)::                                                                \
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                               "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                          \
    }
#define REGAUGE_VNNI8(n) "vpdpbusd %%zmm15, %%zmm14, %%zmm" n "\n\t"
#define REGAUGE_VNNI16(n) "vpdpwssd %%zmm15, %%zmm14, %%zmm" n "\n\t"
#define REGAUGE_AVX2(n) "vpmaddwd %%ymm15, %%ymm14, %%ymm13\n\tvpaddd %%ymm13, %%ymm" n ", %%ymm" n "\n\t"
// Seven bits on one side: four pairs of products are added in 16 bits before they are widened.
#define REGAUGE_PAIRS "vpmaddubsw %%ymm15, %%ymm14, %%ymm12\n\tvpaddw %%ymm12, %%ymm13, %%ymm13\n\t"
#define REGAUGE_AVX2_7(n)                                                                \
    "vpmaddubsw %%ymm15, %%ymm14, %%ymm13\n\t" REGAUGE_PAIRS REGAUGE_PAIRS REGAUGE_PAIRS \
    "vpmaddwd %%ymm15, %%ymm13, %%ymm13\n\tvpaddd %%ymm13, %%ymm" n ", %%ymm" n "\n\t"
#define REGAUGE_FLOAT512(n) "vmulps %%zmm15, %%zmm14, %%zmm13\n\tvaddps %%zmm13, %%zmm" n ", %%zmm" n "\n\t"
#define REGAUGE_FLOAT256(n) "vmulps %%ymm15, %%ymm14, %%ymm13\n\tvaddps %%ymm13, %%ymm" n ", %%ymm" n "\n\t"
REGAUGE_BARE(bareVnni8, REGAUGE_VNNI8)
REGAUGE_BARE(bareVnni16, REGAUGE_VNNI16)
REGAUGE_BARE(bareAvx2, REGAUGE_AVX2)
REGAUGE_BARE(bareAvx2Seven, REGAUGE_AVX2_7)
REGAUGE_BARE(bareFloat512, REGAUGE_FLOAT512)
REGAUGE_BARE(bareFloat256, REGAUGE_FLOAT256)

// products: multiplications of one instruction.
inline double rateOf(void (*bare)(std::size_t), double products) {
    constexpr std::size_t rounds = 2000000;
    double best = 0;
    for (int i = 0; i < 5; ++i) {
        const std::clock_t start = std::clock();
        bare(rounds);
        best = std::max(
            best, 2.0 * rounds * 12 * products * CLOCKS_PER_SEC / static_cast<double>(std::clock() - start) * 1e-9);
    }
    return best;
}

// Sums of products of bytes, seven bits on one side (or of 16-bit integers).
inline double integerPeak(int bits) {
    if (instructionSet() == "avx512vnni") return bits == 8 ? rateOf(bareVnni8, 64) : rateOf(bareVnni16, 32);
    if (instructionSet() == "avx2") return bits == 8 ? rateOf(bareAvx2Seven, 128) : rateOf(bareAvx2, 16);
    return 0;
}

// float32, multiplied and then added: a fused multiply-add would round once, and differently where there is none.
inline double floatPeak() {
    if (instructionSet() == "avx512vnni") return rateOf(bareFloat512, 16);
    return instructionSet() == "avx2" ? rateOf(bareFloat256, 8) : 0;
}
#else
inline double integerPeak(int) { return 0; }
inline double floatPeak() { return 0; }
#endif

}  // namespace regauge::bench

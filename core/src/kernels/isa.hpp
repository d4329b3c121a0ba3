// Instruction sets: which were compiled in, which this machine can run, which is in use.
//
// A kernel is a file <name>.simd.cpp, compiled once per instruction set with
// REGAUGE_ISA=<sse2|sse42|avx2|avxvnni|avx512vnni|neon|wasm>, and a plain <name>.cpp that holds the naive reference
// (the scalar build of it) and picks one through a switch:
//
//   // sum.simd.cpp                                            // sum.cpp
//   namespace regauge::kernels::REGAUGE_ISA {                  #define REGAUGE_DECLARE(isa) namespace isa { Sum sum();
//   } Sum sum() { return &vectorSum; }                           REGAUGE_COMPILED_ISAS(REGAUGE_DECLARE) } Sum sum(Isa
//   isa) { switch (isa) { ... } }
//
// A .simd.cpp must not emit anything that another file could emit too (inline functions and templates of std or of ours
// that stay out of line):
// the linker keeps one copy, and that copy may hold instructions the machine lacks. Keep helpers in an unnamed
// namespace.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#define REGAUGE_COMPILED_ISAS(X) X(sse2) X(sse42) X(avx2) X(avxvnni) X(avx512vnni)
#elif defined(__aarch64__)
#define REGAUGE_COMPILED_ISAS(X) X(neon)
#elif defined(__wasm_simd128__)
#define REGAUGE_COMPILED_ISAS(X) X(wasm)
#else
#define REGAUGE_COMPILED_ISAS(X)
#endif

namespace regauge::kernels {

// Slowest first. The flags that each is compiled with (GCC and Clang), all of which availableIsas() checks for:
//   sse2        (the x86-64 baseline)
//   sse42       -msse4.2
//   avx2        -mavx2 -mf16c
//   avxvnni     -mavx2 -mf16c -mavxvnni (processors for desktops, without AVX-512)
//   avx512vnni  -mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
//   neon        (the aarch64 baseline)
//   wasm        -msimd128
enum class Isa : std::uint8_t { scalar, sse2, sse42, avx2, avxvnni, avx512vnni, neon, wasm };

std::string_view name(Isa isa);

// Compiled in, and able to run here (the processor has it and the operating system saves its registers). Slowest first,
// scalar always.
std::vector<Isa> availableIsas();

// The last of availableIsas(), unless another was forced.
Isa activeIsa();

// Uses this one from now on. Throws Error(unsupported) where it is not available.
void forceIsa(Isa isa);
// Back to the best available.
void unforceIsa();

}  // namespace regauge::kernels

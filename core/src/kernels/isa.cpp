#include "kernels/isa.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <string>

#include "regauge/error.hpp"
#include "regauge/isa.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace regauge::kernels {
namespace {

constexpr std::array allIsas{Isa::scalar,  Isa::sse2,       Isa::sse42, Isa::avx2,
                             Isa::avxvnni, Isa::avx512vnni, Isa::neon,  Isa::wasm};

#if defined(__x86_64__)
// What the operating system saves on a context switch: XCR0, readable where cpuid says OSXSAVE.
std::uint64_t savedRegisters() {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (std::uint64_t{high} << 32) | low;
}

std::vector<Isa> isasOfMachine() {
    const auto has = [](unsigned word, std::initializer_list<unsigned> bits) {
        return std::all_of(bits.begin(), bits.end(), [word](unsigned bit) { return ((word >> bit) & 1u) != 0; });
    };
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    std::vector<Isa> isas{Isa::sse2};
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || !has(c, {0, 9, 19, 20})) return isas;  // SSE3, SSSE3, SSE4.1, SSE4.2
    isas.push_back(Isa::sse42);
    if (!has(c, {12, 27, 28, 29})) return isas;  // FMA, OSXSAVE, AVX, F16C
    const std::uint64_t saved = savedRegisters();
    if ((saved & 0x6) != 0x6) return isas;                                          // XMM and upper halves of YMM
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || !has(b, {5})) return isas;  // AVX2
    isas.push_back(Isa::avx2);
    const bool avx512 = has(b, {16, 17, 28, 30, 31}) && has(c, {11}) &&  // F, DQ, CD, BW, VL; VNNI
                        (saved & 0xe6) == 0xe6;                          // masks, upper halves of ZMM, ZMM16-31
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && has(a, {4})) isas.push_back(Isa::avxvnni);  // zeros if unknown
    if (avx512) isas.push_back(Isa::avx512vnni);
    return isas;
}
#elif defined(__aarch64__)
std::vector<Isa> isasOfMachine() { return {Isa::neon}; }
#elif defined(__wasm_simd128__)
std::vector<Isa> isasOfMachine() { return {Isa::wasm}; }  // a module with SIMD does not even load elsewhere
#else
std::vector<Isa> isasOfMachine() { return {}; }
#endif

bool available(Isa isa) {
    static const std::vector<Isa> here = isasOfMachine();
    return isa == Isa::scalar || std::ranges::find(here, isa) != here.end();
}

std::atomic<Isa>& inUse() {
    static std::atomic<Isa> isa{availableIsas().back()};
    return isa;
}

}  // namespace

std::string_view name(Isa isa) {
    switch (isa) {
        case Isa::scalar: return "scalar";
        case Isa::sse2: return "sse2";
        case Isa::sse42: return "sse42";
        case Isa::avx2: return "avx2";
        case Isa::avxvnni: return "avxvnni";
        case Isa::avx512vnni: return "avx512vnni";
        case Isa::neon: return "neon";
        case Isa::wasm: return "wasm";
    }
    return "scalar";
}

std::vector<Isa> availableIsas() {
    std::vector<Isa> isas;
    for (const Isa isa : allIsas) {
        if (available(isa)) isas.push_back(isa);
    }
    return isas;
}

Isa activeIsa() { return inUse().load(std::memory_order_relaxed); }

void forceIsa(Isa isa) {
    if (!available(isa)) {
        throw Error(ErrorCode::unsupported, "",
                    "this machine has no " + std::string(name(isa)) +
                        "; use an instruction set that it has, or none for the best");
    }
    inUse().store(isa, std::memory_order_relaxed);
}

void unforceIsa() { inUse().store(availableIsas().back(), std::memory_order_relaxed); }

}  // namespace regauge::kernels

namespace regauge {

std::vector<std::string_view> instructionSets() {
    std::vector<std::string_view> names;
    for (const kernels::Isa isa : kernels::availableIsas()) names.push_back(kernels::name(isa));
    return names;
}

std::string_view instructionSet() { return kernels::name(kernels::activeIsa()); }

void forceInstructionSet(std::string_view wanted) {
    if (wanted.empty()) {
        kernels::unforceIsa();
        return;
    }
    std::string known;
    for (const kernels::Isa isa : kernels::availableIsas()) {
        if (kernels::name(isa) == wanted) {
            kernels::forceIsa(isa);
            return;
        }
        known += (known.empty() ? "" : ", ") + std::string(kernels::name(isa));
    }
    throw Error(ErrorCode::unsupported, "",
                "no instruction set \"" + std::string(wanted) + "\" here; this machine and build have " + known);
}

}  // namespace regauge

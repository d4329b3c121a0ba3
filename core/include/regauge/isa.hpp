// The instruction set that the kernels run on. Every choice gives the same bits; only the speed differs.
#pragma once

#include <string_view>
#include <vector>

namespace regauge {

// The instruction sets this machine can run, slowest first: "scalar", then e.g. "sse2", "sse42", "avx2", "avxvnni",
// "avx512vnni"; "neon"; "wasm".
std::vector<std::string_view> instructionSets();

// The one in use: the best available, unless another was forced.
std::string_view instructionSet();

// Uses the named one from now on, on all threads; an empty name returns to the best available. For tests and for the
// native command's REGAUGE_ISA; call it before work starts. Throws Error(unsupported) where this machine or build has
// no such instruction set.
void forceInstructionSet(std::string_view name);

}  // namespace regauge

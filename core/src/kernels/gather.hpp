// The elements of rows in another order: what a gauge does to the last axis of a tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/isa.hpp"

namespace regauge::kernels {

// out[r, i] = in[r, perm[i]] ^ flip[i], for r < rows and i < d.
//   in, out   [rows, d] of Word, anywhere in memory, apart from each other
//   perm      of [0, d), each once
//   scratch   gatherScratchBytes(d)
template <class Word>
using GatherRows = void (*)(const std::byte* in, std::byte* out, std::size_t rows, std::size_t d,
                            const std::uint32_t* perm, const Word* flip, std::byte* scratch);

// As many rows as a register of 16 bytes has elements are turned into columns, which then move whole.
constexpr std::size_t gatherScratchBytes(std::size_t d) { return 16 * d; }

struct Gather {
    GatherRows<std::uint8_t> rows1;
    GatherRows<std::uint16_t> rows2;
    GatherRows<std::uint32_t> rows4;
    GatherRows<std::uint64_t> rows8;

    template <class Word>
    GatherRows<Word> rows() const {
        if constexpr (std::is_same_v<Word, std::uint8_t>)
            return rows1;
        else if constexpr (std::is_same_v<Word, std::uint16_t>)
            return rows2;
        else if constexpr (std::is_same_v<Word, std::uint32_t>)
            return rows4;
        else
            return rows8;
    }
};

// For an instruction set; Isa::scalar is the definition.
const Gather& gather(Isa isa);

}  // namespace regauge::kernels

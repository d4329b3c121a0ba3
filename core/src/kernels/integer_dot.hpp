// Sums of products of quantised channels: the inner loop of every correlation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.hpp"
#include "kernels/panel.hpp"

namespace regauge::kernels {

struct IntegerDot {
    std::size_t rowsPerWord;  // 4: int8, 2: int16 (panel.hpp)

    // tile[i * 32 + j] += sum over rows of a_i b_j, for the 32 channels of panel a and the 32 of panel b. Both hold
    // `groups` words a channel.
    // aSums[i] = sum over these rows of a_i, and aRun: what sums() said of panel a. Everything aligned to a cache line.
    // Arithmetic is modulo 2^32.
    void (*tile)(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* aSums, unsigned aRun,
                 std::size_t groups, std::int32_t* tile);

    // sums[j] = sum of b_j and squares[j] = sum of b_j^2 over the rows of a panel. Returns of how many groups tile()
    // may add the products in 16 bits before it widens them when this panel is its a; 1 where it does not do such
    // things.
    unsigned (*sums)(const std::uint32_t* b, std::size_t groups, std::int32_t* sums, std::int32_t* squares);
};

// The fastest for values in [-limit, limit]; those of a panel a may reach 127 where the limit is the coarse one.
IntegerDot integerDot(Isa isa, int limit);

// The definition, for either word.
IntegerDot integerDotReference(std::size_t rowsPerWord);

}  // namespace regauge::kernels

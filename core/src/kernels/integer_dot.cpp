#include "kernels/integer_dot.hpp"

namespace regauge::kernels {
namespace {

// The value of one row in a word.
template <std::size_t rowsPerWord>
std::int32_t valueOf(std::uint32_t word, std::size_t row) {
    if constexpr (rowsPerWord == 4) return static_cast<std::int8_t>(word >> (8 * row));
    return static_cast<std::int16_t>(word >> (16 * row));
}

template <std::size_t rowsPerWord>
void referenceTile(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t*, unsigned, std::size_t groups,
                   std::int32_t* tile) {
    for (std::size_t i = 0; i < panelWidth; ++i) {
        for (std::size_t j = 0; j < panelWidth; ++j) {
            std::int32_t sum = 0;
            for (std::size_t group = 0; group < groups; ++group) {
                for (std::size_t row = 0; row < rowsPerWord; ++row) {
                    sum += valueOf<rowsPerWord>(a[group * panelWidth + i], row) *
                           valueOf<rowsPerWord>(b[group * panelWidth + j], row);
                }
            }
            tile[i * panelWidth + j] += sum;
        }
    }
}

template <std::size_t rowsPerWord>
unsigned referenceSums(const std::uint32_t* b, std::size_t groups, std::int32_t* sums, std::int32_t* squares) {
    for (std::size_t j = 0; j < panelWidth; ++j) {
        sums[j] = squares[j] = 0;
        for (std::size_t group = 0; group < groups; ++group) {
            for (std::size_t row = 0; row < rowsPerWord; ++row) {
                const std::int32_t value = valueOf<rowsPerWord>(b[group * panelWidth + j], row);
                sums[j] += value;
                squares[j] += value * value;
            }
        }
    }
    return 1;
}

}  // namespace

#define REGAUGE_DECLARE(isa) \
    namespace isa {          \
    IntegerDot bytes();      \
    IntegerDot halves();     \
    }
REGAUGE_COMPILED_ISAS(REGAUGE_DECLARE)
#undef REGAUGE_DECLARE

IntegerDot integerDot(Isa isa, int limit) {
    switch (isa) {
#define REGAUGE_CASE(compiled) \
    case Isa::compiled: return limit <= coarseLimit ? compiled::bytes() : compiled::halves();
        REGAUGE_COMPILED_ISAS(REGAUGE_CASE)
#undef REGAUGE_CASE
        default: return integerDotReference(limit <= coarseLimit ? 4 : 2);
    }
}

IntegerDot integerDotReference(std::size_t rowsPerWord) {
    if (rowsPerWord == 4) return {4, &referenceTile<4>, &referenceSums<4>};
    return {2, &referenceTile<2>, &referenceSums<2>};
}

}  // namespace regauge::kernels

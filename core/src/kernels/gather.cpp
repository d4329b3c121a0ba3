#include "kernels/gather.hpp"

#include <cstring>

#include "kernels/element.hpp"

namespace regauge::kernels {
namespace {

template <class Word>
void gatherRows(const std::byte* in, std::byte* out, std::size_t rows, std::size_t d, const std::uint32_t* perm,
                const Word* flip, std::byte*) {
    for (; rows > 0; --rows, in += d * sizeof(Word))
        for (std::size_t i = 0; i < d; ++i, out += sizeof(Word)) {
            const Word word = static_cast<Word>(loadWord<Word>(in + perm[i] * sizeof(Word)) ^ flip[i]);
            std::memcpy(out, &word, sizeof word);
        }
}

constexpr Gather scalarGather{&gatherRows<std::uint8_t>, &gatherRows<std::uint16_t>, &gatherRows<std::uint32_t>,
                              &gatherRows<std::uint64_t>};

}  // namespace

#define REGAUGE_DECLARE(isa)      \
    namespace isa {               \
    const Gather& vectorGather(); \
    }
REGAUGE_COMPILED_ISAS(REGAUGE_DECLARE)
#undef REGAUGE_DECLARE

const Gather& gather(Isa isa) {
    switch (isa) {
#define REGAUGE_CASE(compiled) \
    case Isa::compiled: return compiled::vectorGather();
        REGAUGE_COMPILED_ISAS(REGAUGE_CASE)
#undef REGAUGE_CASE
        default: return scalarGather;
    }
}

}  // namespace regauge::kernels

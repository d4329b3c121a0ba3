#include <cstring>

#include "kernels/element.hpp"
#include "kernels/gather.hpp"
#include "kernels/simd.hpp"

namespace regauge::kernels::REGAUGE_ISA {
namespace {

// 16 bytes everywhere: the scratch of a wider one would leave the first-level cache at d = 1024.
template <class Word>
using Lanes = xsimd::make_sized_batch_t<Word, 16 / sizeof(Word)>;

template <class Word>
Lanes<Word> load(const std::byte* at) {
    return Lanes<Word>::load_unaligned(reinterpret_cast<const Word*>(at));
}
template <class Word>
void store(Lanes<Word> lanes, std::byte* at) {
    lanes.store_unaligned(reinterpret_cast<Word*>(at));
}

// n registers of n lanes, rows into columns. Interleaving the first half with the second, as a riffle does with cards,
// rotates the bits of an element's place (register, lane) by one: log2(n) times exchange register and lane.
template <class Word>
XSIMD_INLINE void transpose(Lanes<Word>* lanes) {
    constexpr std::size_t n = Lanes<Word>::size;
    for (std::size_t times = 1; times < n; times *= 2) {
        Lanes<Word> riffled[n];
        for (std::size_t k = 0; k < n / 2; ++k) {
            riffled[2 * k] = xsimd::zip_lo(lanes[k], lanes[k + n / 2]);
            riffled[2 * k + 1] = xsimd::zip_hi(lanes[k], lanes[k + n / 2]);
        }
        for (std::size_t k = 0; k < n; ++k) lanes[k] = riffled[k];
    }
}

template <class Word>
void gatherOne(const std::byte* from, std::byte* to, Word flip) {
    const Word word = static_cast<Word>(loadWord<Word>(from) ^ flip);
    std::memcpy(to, &word, sizeof word);
}

template <class Word>
void gatherRows(const std::byte* in, std::byte* out, std::size_t rows, std::size_t d, const std::uint32_t* perm,
                const Word* flip, std::byte* scratch) {
    constexpr std::size_t n = Lanes<Word>::size, wide = n * sizeof(Word);  // elements and bytes of a register
    const std::size_t row = d * sizeof(Word), whole = d - d % n;
    constexpr bool worthIt = n > 2;  // two columns to a register gain nothing
    Lanes<Word> lanes[n];
    for (; worthIt && rows >= n; rows -= n, in += n * row, out += n * row) {
        // scratch[j]: the n elements of column j
        for (std::size_t j = 0; j < whole; j += n) {
            for (std::size_t k = 0; k < n; ++k) lanes[k] = load<Word>(in + k * row + j * sizeof(Word));
            if (j % (64 / sizeof(Word)) == 0)  // rows lie a page apart, and another core had these lines last
                for (std::size_t k = 0; k < n; ++k) __builtin_prefetch(out + k * row + j * sizeof(Word), 1);
            transpose<Word>(lanes);
            for (std::size_t k = 0; k < n; ++k) store<Word>(lanes[k], scratch + (j + k) * wide);
        }
        for (std::size_t j = whole; j < d; ++j)
            for (std::size_t k = 0; k < n; ++k)
                gatherOne<Word>(in + k * row + j * sizeof(Word), scratch + j * wide + k * sizeof(Word), Word{0});

        for (std::size_t i = 0; i < whole; i += n) {
            for (std::size_t k = 0; k < n; ++k) lanes[k] = load<Word>(scratch + perm[i + k] * wide);
            transpose<Word>(lanes);
            const Lanes<Word> flips = Lanes<Word>::load_unaligned(flip + i);
            for (std::size_t k = 0; k < n; ++k) store<Word>(lanes[k] ^ flips, out + k * row + i * sizeof(Word));
        }
        for (std::size_t i = whole; i < d; ++i)
            for (std::size_t k = 0; k < n; ++k)
                gatherOne<Word>(scratch + perm[i] * wide + k * sizeof(Word), out + k * row + i * sizeof(Word), flip[i]);
    }
    for (; rows > 0; --rows, in += row, out += row)
        for (std::size_t i = 0; i < d; ++i)
            gatherOne<Word>(in + perm[i] * sizeof(Word), out + i * sizeof(Word), flip[i]);
}

constexpr Gather table{&gatherRows<std::uint8_t>, &gatherRows<std::uint16_t>, &gatherRows<std::uint32_t>,
                       &gatherRows<std::uint64_t>};

}  // namespace

const Gather& vectorGather();
const Gather& vectorGather() { return table; }

}  // namespace regauge::kernels::REGAUGE_ISA

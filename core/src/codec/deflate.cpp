#include "codec/deflate.hpp"

#include <algorithm>
#include <cstdint>

#include "codec/deflate_block.hpp"

namespace regauge {
namespace {

// zlib's level 6 with its default window and memory.
constexpr std::size_t windowSize = std::size_t{1} << 15;
constexpr std::size_t minMatch = 3;
constexpr std::size_t maxMatch = 258;
constexpr std::size_t maxDistance = windowSize - (maxMatch + minMatch + 1);
constexpr std::size_t tooFar = 4096;  // a match of three bytes further back costs more than it saves
constexpr std::size_t goodLength = 8;
constexpr std::size_t maxLazy = 16;
constexpr std::size_t niceLength = 128;
constexpr unsigned maxChain = 128;
constexpr std::size_t symbolsPerBlock = (std::size_t{1} << 14) - 1;

class Deflater {
public:
    explicit Deflater(std::span<const std::byte> bytes)
        : bytes_(bytes), head_(std::size_t{1} << 15, 0), previous_(windowSize, 0) {}

    // Lazy matching: a match is taken only when the one a byte later is not longer.
    std::vector<std::byte> run() {
        bool available = false;  // the byte before `at_` waits to be a literal
        std::size_t length = minMatch - 1;
        while (at_ < bytes_.size()) {
            const std::size_t candidate = insert(at_);
            const std::size_t beforeLength = length;
            const std::size_t beforeStart = matchStart_;
            length = minMatch - 1;
            if (candidate != 0 && beforeLength < maxLazy && at_ - candidate <= maxDistance) {
                length = longestMatch(candidate, beforeLength);
                if (length == minMatch && at_ - matchStart_ > tooFar) length = minMatch - 1;
            }
            if (beforeLength >= minMatch && length <= beforeLength) {
                add({static_cast<std::uint16_t>(at_ - 1 - beforeStart), static_cast<std::uint16_t>(beforeLength)});
                const std::size_t end = at_ - 1 + beforeLength;
                while (++at_ < end) insert(at_);
                available = false;
                length = minMatch - 1;
                flushIfFull();
            } else {
                if (available) {
                    add({0, std::to_integer<std::uint16_t>(bytes_[at_ - 1])});
                    flushIfFull();
                }
                available = true;
                ++at_;
            }
        }
        if (available) add({0, std::to_integer<std::uint16_t>(bytes_[at_ - 1])});
        flush(true);
        return bits_.take();
    }

private:
    // Remembers the three bytes at `position`; returns where they, or others of the same hash, were last. Position 0
    // stands for nowhere.
    std::size_t insert(std::size_t position) {
        if (bytes_.size() - position < minMatch) return 0;
        std::size_t hash = 0;
        for (std::size_t i = 0; i < minMatch; ++i)
            hash = ((hash << 5) ^ std::to_integer<std::size_t>(bytes_[position + i])) & 0x7FFF;
        const std::uint32_t before = head_[hash];
        previous_[position % windowSize] = before;
        head_[hash] = static_cast<std::uint32_t>(position);
        return before;
    }

    std::size_t longestMatch(std::size_t candidate, std::size_t beforeLength) {
        const std::size_t left = bytes_.size() - at_;
        const std::size_t most = std::min(left, maxMatch);
        const std::size_t nice = std::min(left, niceLength);
        const std::size_t limit = at_ > maxDistance ? at_ - maxDistance : 0;
        unsigned chain = beforeLength >= goodLength ? maxChain >> 2 : maxChain;
        std::size_t best = beforeLength;
        do {
            // The byte that would make the match longer decides first.
            if (best < left && bytes_[candidate + best] == bytes_[at_ + best]) {
                std::size_t length = 0;
                while (length < most && bytes_[candidate + length] == bytes_[at_ + length]) ++length;
                if (length > best) {
                    matchStart_ = candidate;
                    best = length;
                    if (length >= nice) break;
                }
            }
            candidate = previous_[candidate % windowSize];
        } while (candidate > limit && --chain != 0);
        return std::min(best, left);
    }

    void add(DeflateSymbol symbol) { symbols_.push_back(symbol); }
    void flushIfFull() {
        if (symbols_.size() >= symbolsPerBlock) flush(false);
    }
    void flush(bool last) {
        writeDeflateBlock(symbols_, bytes_.subspan(blockStart_, at_ - blockStart_), last, bits_);
        symbols_.clear();
        blockStart_ = at_;
    }

    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
    std::size_t blockStart_ = 0;
    std::size_t matchStart_ = 0;
    std::vector<std::uint32_t> head_;
    std::vector<std::uint32_t> previous_;
    std::vector<DeflateSymbol> symbols_;
    DeflateBits bits_;
};

}  // namespace

std::vector<std::byte> deflate(std::span<const std::byte> bytes) { return Deflater(bytes).run(); }

}  // namespace regauge

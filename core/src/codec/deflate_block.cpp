#include "codec/deflate_block.hpp"

#include <algorithm>
#include <array>

namespace regauge {
namespace {

constexpr std::size_t literalCodes = 286;
constexpr std::size_t distanceCodes = 30;
constexpr std::size_t lengthCodes = 19;
constexpr std::size_t endOfBlock = 256;
constexpr std::array<std::uint16_t, 29> lengthBase = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                                      31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
constexpr std::array<std::uint8_t, 29> lengthExtra = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                                      2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
constexpr std::array<std::uint16_t, 30> distanceBase = {1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
                                                        33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
                                                        1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
constexpr std::array<std::uint8_t, 30> distanceExtra = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                                        6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
constexpr std::array<std::uint8_t, 19> lengthOrder = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

template <std::size_t N>
std::size_t codeFor(const std::array<std::uint16_t, N>& base, std::uint16_t value) {
    return static_cast<std::size_t>(std::upper_bound(base.begin(), base.end(), value) - base.begin()) - 1;
}

std::size_t extraBits(std::size_t alphabet, std::size_t symbol) {
    if (alphabet == literalCodes) return symbol > endOfBlock ? lengthExtra[symbol - endOfBlock - 1] : 0;
    if (alphabet == distanceCodes) return distanceExtra[symbol];
    return symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
}

std::size_t fixedLength(std::size_t alphabet, std::size_t symbol) {
    if (alphabet == distanceCodes) return 5;
    return symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
}

// A Huffman code over one alphabet, built by zlib's heap, whose tie rules fix the bits.
class Code {
public:
    Code(std::size_t alphabet, std::size_t mostBits)
        : frequency(alphabet, 0), length(alphabet, 0), code(alphabet, 0), mostBits_(mostBits) {}

    std::vector<std::uint32_t> frequency;
    std::vector<std::uint8_t> length;
    std::vector<std::uint16_t> code;
    std::size_t used = 0;    // one past the last symbol of the code
    std::uint64_t bits = 0;  // what all symbols cost in this code, extra bits included

    void build() {
        const std::size_t alphabet = frequency.size();
        frequencies_.assign(frequency.begin(), frequency.end());
        frequencies_.resize(2 * alphabet + 1);
        depth_.assign(2 * alphabet + 1, 0);
        parent_.assign(2 * alphabet + 1, 0);
        heap_.assign(1, 0);  // its first element has index 1
        for (std::size_t symbol = 0; symbol < alphabet; ++symbol) {
            if (frequency[symbol] == 0) continue;
            heap_.push_back(symbol);
            used = symbol + 1;
        }
        // At least two symbols, so that every code has at least one bit.
        while (heap_.size() < 3) {
            const std::size_t symbol = used < 3 ? used++ : 0;
            heap_.push_back(symbol);
            frequencies_[symbol] = 1;
        }
        for (std::size_t i = (heap_.size() - 1) / 2; i >= 1; --i) sink(i);
        std::vector<std::size_t> order;  // nodes in the order they leave the heap; the root last
        std::size_t node = alphabet;
        do {
            const std::size_t first = heap_[1];
            heap_[1] = heap_.back();
            heap_.pop_back();
            sink(1);
            const std::size_t second = heap_[1];
            order.push_back(first);
            order.push_back(second);
            frequencies_[node] = frequencies_[first] + frequencies_[second];
            depth_[node] = static_cast<std::uint8_t>(std::max(depth_[first], depth_[second]) + 1);
            parent_[first] = parent_[second] = node;
            heap_[1] = node++;
            sink(1);
        } while (heap_.size() >= 3);
        order.push_back(heap_[1]);
        std::reverse(order.begin(), order.end());
        limitLengths(order);
        assignCodes();
        for (std::size_t symbol = 0; symbol < used; ++symbol)
            bits += std::uint64_t{frequency[symbol]} * (length[symbol] + extraBits(alphabet, symbol));
    }

private:
    bool smaller(std::size_t a, std::size_t b) const {
        return frequencies_[a] < frequencies_[b] || (frequencies_[a] == frequencies_[b] && depth_[a] <= depth_[b]);
    }
    void sink(std::size_t at) {
        if (at >= heap_.size()) return;
        const std::size_t value = heap_[at];
        for (std::size_t child = 2 * at; child < heap_.size(); child *= 2) {
            if (child + 1 < heap_.size() && smaller(heap_[child + 1], heap_[child])) ++child;
            if (smaller(value, heap_[child])) break;
            heap_[at] = heap_[child];
            at = child;
        }
        heap_[at] = value;
    }

    // Depth in the tree, cut at mostBits; what was cut is paid for by lengthening the deepest codes that still have
    // room.
    void limitLengths(const std::vector<std::size_t>& fromRoot) {
        const std::size_t alphabet = frequency.size();
        std::vector<std::size_t> depths(frequencies_.size(), 0);
        std::vector<std::size_t> counts(mostBits_ + 1, 0);
        std::size_t overflow = 0;
        for (std::size_t i = 1; i < fromRoot.size(); ++i) {
            const std::size_t node = fromRoot[i];
            std::size_t depth = depths[parent_[node]] + 1;
            if (depth > mostBits_) {
                depth = mostBits_;
                ++overflow;
            }
            depths[node] = depth;
            if (node >= alphabet) continue;
            ++counts[depth];
            length[node] = static_cast<std::uint8_t>(depth);
        }
        if (overflow == 0) return;
        for (std::ptrdiff_t left = static_cast<std::ptrdiff_t>(overflow); left > 0; left -= 2) {
            std::size_t depth = mostBits_ - 1;
            while (counts[depth] == 0) --depth;
            --counts[depth];
            counts[depth + 1] += 2;
            --counts[mostBits_];
        }
        std::size_t at = fromRoot.size();
        for (std::size_t depth = mostBits_; depth != 0; --depth) {
            for (std::size_t left = counts[depth]; left > 0;) {
                const std::size_t node = fromRoot[--at];
                if (node >= alphabet) continue;
                length[node] = static_cast<std::uint8_t>(depth);
                --left;
            }
        }
    }

    void assignCodes() {
        std::array<std::uint16_t, 16> counts{};
        for (std::size_t symbol = 0; symbol < used; ++symbol) ++counts[length[symbol]];
        counts[0] = 0;
        std::array<std::uint16_t, 17> next{};
        for (std::size_t size = 1; size < 16; ++size)
            next[size] = static_cast<std::uint16_t>((next[size - 1] + counts[size - 1]) << 1);
        for (std::size_t symbol = 0; symbol < used; ++symbol) {
            const unsigned size = length[symbol];
            if (size == 0) continue;
            const unsigned canonical = next[size]++;
            unsigned reversed = 0;
            for (unsigned bit = 0; bit < size; ++bit) reversed |= ((canonical >> bit) & 1U) << (size - 1 - bit);
            code[symbol] = static_cast<std::uint16_t>(reversed);
        }
    }

    std::size_t mostBits_;
    std::vector<std::uint32_t> frequencies_;  // of symbols and inner nodes
    std::vector<std::uint8_t> depth_;
    std::vector<std::size_t> parent_;
    std::vector<std::size_t> heap_;
};

// A code's lengths as the header stores them: lengths, and repeats of them with a count.
struct LengthRun {
    std::uint8_t symbol = 0;
    std::uint8_t count = 0;  // in `extraBits` bits
};
std::vector<LengthRun> runsOf(std::span<const std::uint8_t> lengths) {
    std::vector<LengthRun> runs;
    std::size_t before = 16;  // no length
    for (std::size_t at = 0; at < lengths.size();) {
        const std::size_t value = lengths[at];
        std::size_t most = value == 0 ? 138 : value == before ? 6 : 7;
        std::size_t count = 1;
        while (count < most && at + count < lengths.size() && lengths[at + count] == value) ++count;
        at += count;
        std::size_t left = count;
        if (count < (value == 0 || value == before ? 3U : 4U)) {
            for (; left > 0; --left) runs.push_back({static_cast<std::uint8_t>(value), 0});
        } else if (value != 0) {
            if (value != before) {
                runs.push_back({static_cast<std::uint8_t>(value), 0});
                --left;
            }
            runs.push_back({16, static_cast<std::uint8_t>(left - 3)});
        } else if (left <= 10) {
            runs.push_back({17, static_cast<std::uint8_t>(left - 3)});
        } else {
            runs.push_back({18, static_cast<std::uint8_t>(left - 11)});
        }
        before = value;
    }
    return runs;
}

Code fixedCode(std::size_t alphabet) {
    // RFC 1951 section 3.2.6: codes 286 and 287 take part in the numbering.
    Code code(alphabet, 15);
    const std::size_t all = alphabet == literalCodes ? 288 : distanceCodes;
    std::array<unsigned, 16> next{};
    next[8] = 0x30;
    next[9] = 0x190;
    for (std::size_t symbol = 0; symbol < all; ++symbol) {
        const unsigned size = static_cast<unsigned>(fixedLength(alphabet, symbol));
        if (symbol == 280) next[8] = 0xC0;
        const unsigned canonical = next[size]++;
        if (symbol >= alphabet) break;
        unsigned reversed = 0;
        for (unsigned bit = 0; bit < size; ++bit) reversed |= ((canonical >> bit) & 1U) << (size - 1 - bit);
        code.length[symbol] = static_cast<std::uint8_t>(size);
        code.code[symbol] = static_cast<std::uint16_t>(reversed);
    }
    return code;
}

void writeSymbols(std::span<const DeflateSymbol> symbols, const Code& literals, const Code& distances,
                  DeflateBits& out) {
    for (const DeflateSymbol& symbol : symbols) {
        if (symbol.distance == 0) {
            out.put(literals.code[symbol.length], literals.length[symbol.length]);
            continue;
        }
        const std::size_t length = codeFor(lengthBase, symbol.length);
        out.put(literals.code[endOfBlock + 1 + length], literals.length[endOfBlock + 1 + length]);
        out.put(static_cast<std::uint32_t>(symbol.length - lengthBase[length]), lengthExtra[length]);
        const std::size_t distance = codeFor(distanceBase, symbol.distance);
        out.put(distances.code[distance], distances.length[distance]);
        out.put(static_cast<std::uint32_t>(symbol.distance - distanceBase[distance]), distanceExtra[distance]);
    }
    out.put(literals.code[endOfBlock], literals.length[endOfBlock]);
}

}  // namespace

void DeflateBits::put(std::uint32_t value, unsigned count) {
    pending_ |= std::uint64_t{value} << pendingBits_;
    for (pendingBits_ += count; pendingBits_ >= 8; pendingBits_ -= 8, pending_ >>= 8)
        bytes_.push_back(static_cast<std::byte>(pending_));
}

void DeflateBits::alignToByte() {
    if (pendingBits_ > 0) put(0, 8 - pendingBits_);
}

std::vector<std::byte> DeflateBits::take() {
    alignToByte();
    return std::move(bytes_);
}

void writeDeflateBlock(std::span<const DeflateSymbol> symbols, std::span<const std::byte> raw, bool last,
                       DeflateBits& out) {
    Code literals(literalCodes, 15);
    Code distances(distanceCodes, 15);
    std::uint64_t fixedBits = fixedLength(literalCodes, endOfBlock);
    literals.frequency[endOfBlock] = 1;
    for (const DeflateSymbol& symbol : symbols) {
        const std::size_t literal =
            symbol.distance == 0 ? symbol.length : endOfBlock + 1 + codeFor(lengthBase, symbol.length);
        ++literals.frequency[literal];
        fixedBits += fixedLength(literalCodes, literal) + extraBits(literalCodes, literal);
        if (symbol.distance == 0) continue;
        const std::size_t distance = codeFor(distanceBase, symbol.distance);
        ++distances.frequency[distance];
        fixedBits += 5 + extraBits(distanceCodes, distance);
    }
    literals.build();
    distances.build();
    // Each code's lengths are run-length coded on their own: zlib lets no run cross from one to the other.
    std::vector<LengthRun> runs = runsOf(std::span(literals.length).first(literals.used));
    const std::vector<LengthRun> distanceRuns = runsOf(std::span(distances.length).first(distances.used));
    runs.insert(runs.end(), distanceRuns.begin(), distanceRuns.end());
    Code lengths(lengthCodes, 7);
    for (const LengthRun& run : runs) ++lengths.frequency[run.symbol];
    lengths.build();
    std::size_t ranks = lengthCodes;
    while (ranks > 4 && lengths.length[lengthOrder[ranks - 1]] == 0) --ranks;

    const std::uint64_t dynamicBits = literals.bits + distances.bits + lengths.bits + 3 * ranks + 5 + 5 + 4;
    const std::uint64_t fixedBytes = (fixedBits + 3 + 7) / 8;
    const std::uint64_t bestBytes = std::min((dynamicBits + 3 + 7) / 8, fixedBytes);
    const std::uint32_t final = last ? 1 : 0;
    if (raw.size() + 4 <= bestBytes) {
        out.put(final, 3);
        out.alignToByte();
        out.put(static_cast<std::uint32_t>(raw.size()), 16);
        out.put(~static_cast<std::uint32_t>(raw.size()) & 0xFFFFU, 16);
        out.bytes().insert(out.bytes().end(), raw.begin(), raw.end());
    } else if (fixedBytes == bestBytes) {
        out.put(2 | final, 3);
        writeSymbols(symbols, fixedCode(literalCodes), fixedCode(distanceCodes), out);
    } else {
        out.put(4 | final, 3);
        out.put(static_cast<std::uint32_t>(literals.used - 257), 5);
        out.put(static_cast<std::uint32_t>(distances.used - 1), 5);
        out.put(static_cast<std::uint32_t>(ranks - 4), 4);
        for (std::size_t rank = 0; rank < ranks; ++rank) out.put(lengths.length[lengthOrder[rank]], 3);
        for (const LengthRun& run : runs) {
            out.put(lengths.code[run.symbol], lengths.length[run.symbol]);
            out.put(run.count, static_cast<unsigned>(extraBits(lengthCodes, run.symbol)));
        }
        writeSymbols(symbols, literals, distances, out);
    }
}

}  // namespace regauge

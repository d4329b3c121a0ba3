#include "codec/inflate.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "io/bytes.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostRatio = 1032;  // 258 bytes from two bits is the most that DEFLATE can do
constexpr std::uint64_t mostInflated = std::uint64_t{1} << 30;
constexpr unsigned mostCodeBits = 15;

class Inflater {
public:
    Inflater(const ByteSource& in, std::uint64_t offset, std::uint64_t size, std::uint64_t expected,
             std::uint64_t wanted, const std::string& where)
        : in_(in), offset_(offset), left_(size), expected_(expected), wanted_(wanted), where_(where) {}

    std::vector<std::byte> run() {
        out_.reserve(static_cast<std::size_t>(wanted_));
        bool last = false;
        while (!last && !done()) {
            last = take(1) != 0;
            switch (take(2)) {
                case 0: stored(); break;
                case 1: fixedBlock(); break;
                case 2: dynamicBlock(); break;
                default: malformed("a block of an unknown kind");
            }
        }
        if (wanted_ == expected_) {
            if (!last) last = endsHere();
            if (!last || out_.size() != expected_)
                malformed("it decodes to " + std::to_string(out_.size()) + " bytes, not to the " +
                          std::to_string(expected_) + " that the directory says");
            const std::uint64_t unread = left_ + (buffer_.size() - at_) + bitCount_ / 8 - padded_;
            if (unread != 0) malformed(std::to_string(unread) + " bytes follow the end of the compressed data");
        }
        out_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(out_.size(), wanted_)));
        return std::move(out_);
    }

private:
    // symbol << 4 | code length for every possible next `bits` bits.
    struct Decoder {
        std::vector<std::uint16_t> table;
        unsigned bits = 0;
    };

    [[noreturn]] void malformed(const std::string& what) const {
        throw Error(ErrorCode::malformed, where_, "its compressed data is damaged: " + what);
    }
    bool done() const { return out_.size() >= wanted_; }

    // All output is there, but the stream must still say that it ends: an empty final block may follow a full one.
    bool endsHere() {
        for (bool last = false;;) {
            last = take(1) != 0;
            const std::size_t before = out_.size();
            switch (take(2)) {
                case 0: stored(); break;
                case 1: fixedBlock(); break;
                case 2: dynamicBlock(); break;
                default: malformed("a block of an unknown kind");
            }
            if (out_.size() != before)
                malformed("it decodes to more than the " + std::to_string(expected_) +
                          " bytes that the directory says");
            if (last) return true;
        }
    }

    void fill() {
        while (bitCount_ <= 56) {
            std::uint64_t byte = 0;
            if (at_ == buffer_.size() && left_ > 0) {
                const std::uint64_t count = std::min<std::uint64_t>(left_, std::uint64_t{1} << 16);
                buffer_ = readBytes(in_, offset_, count);
                offset_ += count;
                left_ -= count;
                at_ = 0;
            }
            if (at_ < buffer_.size()) {
                byte = std::to_integer<std::uint64_t>(buffer_[at_++]);
            } else {
                ++padded_;  // zeros beyond the end may be looked at, but not used
                if (padded_ > 16) throw Error(ErrorCode::truncated, where_, "its compressed data ends in the middle");
            }
            bits_ |= byte << bitCount_;
            bitCount_ += 8;
        }
    }
    void drop(unsigned count) {
        bits_ >>= count;
        bitCount_ -= count;
        if (bitCount_ < 8 * padded_)
            throw Error(ErrorCode::truncated, where_, "its compressed data ends in the middle");
    }
    unsigned take(unsigned count) {
        fill();
        const unsigned value = static_cast<unsigned>(bits_ & ((std::uint64_t{1} << count) - 1));
        drop(count);
        return value;
    }

    void stored() {
        drop(bitCount_ % 8);
        const unsigned length = take(16);
        if (take(16) != (length ^ 0xFFFFU)) malformed("a stored block's length");
        for (unsigned i = 0; i < length; ++i) put(static_cast<std::byte>(take(8)));
    }

    void put(std::byte byte) {
        if (out_.size() >= expected_)
            malformed("it decodes to more than the " + std::to_string(expected_) + " bytes that the directory says");
        out_.push_back(byte);
    }

    // Canonical codes: shorter codes first, equal lengths in symbol order; the stream holds their bits in reverse.
    Decoder makeDecoder(std::span<const std::uint8_t> lengths, bool mayBeIncomplete) const {
        std::array<unsigned, mostCodeBits + 1> counts{};
        for (const std::uint8_t length : lengths) ++counts[length];
        counts[0] = 0;
        Decoder decoder;
        std::array<unsigned, mostCodeBits + 2> next{};
        unsigned code = 0;
        unsigned used = 0;
        for (unsigned length = 1; length <= mostCodeBits; ++length) {
            code = (code + counts[length - 1]) << 1;
            next[length] = code;
            if (counts[length] > 0) decoder.bits = length;
            used += counts[length] << (mostCodeBits - length);
        }
        if (used > (1U << mostCodeBits)) malformed("an over-full code");
        // As zlib: a code may have gaps only where it is the distance code and has at most one symbol.
        if (used < (1U << mostCodeBits) && !(mayBeIncomplete && decoder.bits <= 1)) malformed("an incomplete code");
        decoder.bits = std::max(decoder.bits, 1U);
        decoder.table.assign(std::size_t{1} << decoder.bits, 0);
        for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
            const unsigned length = lengths[symbol];
            if (length == 0) continue;
            const unsigned canonical = next[length]++;
            unsigned reversed = 0;
            for (unsigned bit = 0; bit < length; ++bit) reversed |= ((canonical >> bit) & 1U) << (length - 1 - bit);
            for (std::size_t i = reversed; i < decoder.table.size(); i += std::size_t{1} << length) {
                decoder.table[i] = static_cast<std::uint16_t>(symbol << 4 | length);
            }
        }
        return decoder;
    }

    unsigned symbol(const Decoder& decoder) {
        fill();
        const std::uint16_t entry =
            decoder.table[static_cast<std::size_t>(bits_ & ((std::uint64_t{1} << decoder.bits) - 1))];
        if (entry == 0) malformed("a code that stands for nothing");
        drop(entry & 15U);
        return entry >> 4;
    }

    void fixedBlock() {
        std::array<std::uint8_t, 288> lengths{};
        for (std::size_t i = 0; i < lengths.size(); ++i) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
        std::array<std::uint8_t, 32> distances{};
        distances.fill(5);
        codes(makeDecoder(lengths, false), makeDecoder(distances, false));
    }

    void dynamicBlock() {
        const unsigned literals = take(5) + 257;
        const unsigned distances = take(5) + 1;
        const unsigned lengthCodes = take(4) + 4;
        if (literals > 286 || distances > 30) malformed("a block with too many codes");
        static constexpr std::uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
        std::array<std::uint8_t, 19> codeLengths{};
        for (unsigned i = 0; i < lengthCodes; ++i) codeLengths[order[i]] = static_cast<std::uint8_t>(take(3));
        const Decoder decoder = makeDecoder(codeLengths, false);

        std::array<std::uint8_t, 286 + 30> lengths{};
        for (unsigned i = 0; i < literals + distances;) {
            const unsigned what = symbol(decoder);
            if (what < 16) {
                lengths[i++] = static_cast<std::uint8_t>(what);
                continue;
            }
            if (what == 16 && i == 0) malformed("a repeated length with nothing before it");
            const std::uint8_t value = what == 16 ? lengths[i - 1] : std::uint8_t{0};
            const unsigned repeat = what == 16 ? 3 + take(2) : what == 17 ? 3 + take(3) : 11 + take(7);
            if (repeat > literals + distances - i) malformed("repeated lengths beyond the end");
            std::fill_n(lengths.begin() + i, repeat, value);
            i += repeat;
        }
        if (lengths[256] == 0) malformed("a block without an end");
        const std::span<const std::uint8_t> all(lengths);
        codes(makeDecoder(all.first(literals), false), makeDecoder(all.subspan(literals, distances), true));
    }

    void codes(const Decoder& literals, const Decoder& distances) {
        static constexpr std::uint16_t lengthBase[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                                         15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                                         67, 83, 99, 115, 131, 163, 195, 227, 258};
        static constexpr std::uint8_t lengthExtra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                                         2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
        static constexpr std::uint16_t distanceBase[30] = {
            1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
            193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
        static constexpr std::uint8_t distanceExtra[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                                           6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
        for (;;) {
            const unsigned what = symbol(literals);
            if (what < 256) {
                put(static_cast<std::byte>(what));
            } else if (what == 256) {
                return;
            } else {
                if (what > 285) malformed("an unknown length");
                const unsigned length = lengthBase[what - 257] + take(lengthExtra[what - 257]);
                const unsigned where = symbol(distances);
                if (where > 29) malformed("an unknown distance");
                const std::size_t distance = distanceBase[where] + take(distanceExtra[where]);
                if (distance > out_.size()) malformed("a distance beyond its beginning");
                for (unsigned i = 0; i < length; ++i) put(out_[out_.size() - distance]);
            }
            // A prefix is enough where only a header is wanted.
            if (wanted_ != expected_ && done()) return;
        }
    }

    const ByteSource& in_;
    std::uint64_t offset_;
    std::uint64_t left_;
    std::uint64_t expected_;
    std::uint64_t wanted_;
    const std::string& where_;
    std::vector<std::byte> buffer_;
    std::size_t at_ = 0;
    std::uint64_t bits_ = 0;
    unsigned bitCount_ = 0;
    unsigned padded_ = 0;
    std::vector<std::byte> out_;
};

}  // namespace

std::vector<std::byte> inflate(const ByteSource& in, std::uint64_t offset, std::uint64_t size, std::uint64_t expected,
                               std::uint64_t wanted, const std::string& where) {
    if (size < (std::uint64_t{1} << 50) && expected > size * mostRatio + mostRatio) {
        throw Error(ErrorCode::malformed, where,
                    std::to_string(size) + " compressed bytes cannot hold " + std::to_string(expected) +
                        "; the file is damaged or made to exhaust memory");
    }
    wanted = std::min(wanted, expected);
    if (wanted > mostInflated) {
        throw Error(ErrorCode::tooLarge, where,
                    "a compressed member of " + std::to_string(expected) +
                        " bytes would have to be in memory whole; save with np.savez instead of np.savez_compressed");
    }
    return Inflater(in, offset, size, expected, wanted, where).run();
}

}  // namespace regauge

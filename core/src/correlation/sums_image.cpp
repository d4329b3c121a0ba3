#include "correlation/sums_image.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "io/bytes.hpp"
#include "kernels/panel.hpp"
#include "regauge/error.hpp"

namespace regauge::image {
namespace {

constexpr std::size_t blockBytes = std::size_t{1} << 20;

// Calls fn(tile, offset in the tile) for every [i, j] that the image holds, row by row.
template <class Fn>
void forEachPair(const TileSums& sums, std::size_t d, Fn&& fn) {
    for (std::size_t i = 0; i < d; ++i) {
        const std::size_t end = sums.shape() == TileSums::Shape::lower ? i + 1 : d;
        for (std::size_t j = 0; j < end; ++j) {
            fn(sums.tileIndex(i / kernels::panelWidth, j / kernels::panelWidth),
               i % kernels::panelWidth * kernels::panelWidth + j % kernels::panelWidth);
        }
    }
}

}  // namespace

Writer::Writer(ByteSink& out) : out_(out) { block_.reserve(blockBytes + 8); }

void Writer::add(const std::byte* from, std::size_t bytes) {
    block_.insert(block_.end(), from, from + bytes);
    if (block_.size() >= blockBytes) flush();
}

void Writer::flush() {
    hash_.update(block_);
    out_.write(block_);
    block_.clear();
}

void Writer::finish() {
    flush();
    out_.write(asBytes(hash_.hex()));
}

void Writer::products(const TileSums& sums, std::size_t d, bool wide) {
    forEachPair(sums, d, [&](std::size_t tile, std::size_t at) {
        const std::int64_t value = sums.at(tile, at);
        if (wide) {
            put<std::int64_t>(value);
        } else {
            put<std::int32_t>(static_cast<std::int32_t>(value));
        }
    });
}

void Taker::give(std::byte* to, std::size_t bytes) {
    std::span<std::byte> into(to, bytes);
    while (!into.empty()) {
        if (at_ == block_.size()) refill();
        const std::size_t here = std::min(into.size(), block_.size() - at_);
        std::memcpy(into.data(), block_.data() + at_, here);
        into = into.subspan(here);
        at_ += here;
    }
}

void Taker::refill() {
    block_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(blockBytes, left_)));
    source_.read(next_, block_);
    next_ += block_.size(), left_ -= block_.size(), at_ = 0;
}

void Taker::products(TileSums& sums, std::size_t d, std::uint64_t rows, int limit, bool wide,
                     const std::string& where) {
    const std::int64_t bound = static_cast<std::int64_t>(rows) * limit * limit;
    sums.makeRoomFor(rows, 1);
    forEachPair(sums, d, [&](std::size_t tile, std::size_t at) {
        const std::int64_t value = wide ? take<std::int64_t>() : take<std::int32_t>();
        requireBound(value, bound, where);
        if (sums.wide()) {
            sums.wideTile(tile)[at] = value;
        } else {
            sums.narrowTile(tile)[at] = static_cast<std::int32_t>(value);
        }
    });
}

void requireBound(std::int64_t value, std::int64_t bound, const std::string& where) {
    if (value > bound || value < -bound)
        throw Error(ErrorCode::malformed, where, "these sums are larger than their number of rows allows");
}

void requireDigest(const ByteSource& source, std::uint64_t offset, std::uint64_t size, const std::string& where) {
    class HashSink final : public ByteSink {
    public:
        Sha256 hash;
        void write(std::span<const std::byte> bytes) override { hash.update(bytes); }
    } sink;
    copyBytes(source, offset, size - digestBytes, sink);
    const std::vector<std::byte> found = readBytes(source, offset + size - digestBytes, digestBytes);
    if (sink.hash.hex() != asText(found)) {
        throw Error(ErrorCode::malformed, where,
                    "the checksum does not fit; the bytes were damaged on their way, so copy them again");
    }
}

void requireBytes(const ByteSource& source, std::uint64_t offset, std::uint64_t needed, const std::string& where) {
    const std::uint64_t available = source.size() - std::min(offset, source.size());
    if (available < needed)
        throw Error(ErrorCode::truncated, where,
                    "expected " + std::to_string(needed) + " bytes, found " + std::to_string(available));
}

}  // namespace regauge::image

// The byte image of CorrelationSums: to merge shards on another machine, or later.
//
//   "regauge sums"  12 bytes         then little-endian:
//   u32 version (3) · u32 d · u8 withGram · u8 wide · u16 limit (63 or 511; 127 in earlier files)
//   u64 rows of half 0 · u64 rows of half 1 · u64 set aside
//   for x, then y: f64 rowLimit · f32 centre [d] · f32 step [d] · for half 0, then 1: i64 sums [d] · i64 squares [d];
//   i64 sums of massive rows [d]
//   where there are rows: cross [d, d] of half 0, then 1, then (withGram) the Gram matrices of x and y, their lower
//   triangles: [i, j] row by row, i32 or (wide) i64 the SHA-256 of everything before it, in 64 hexadecimal digits
//
// An image is input from outside: every size follows from its first bytes and is checked before memory is taken, and
// sums that no rows could give are refused. It is written and read in blocks: beside the sums, a second copy of them
// would be a gigabyte at d = 8192.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base/sha256.hpp"
#include "correlation/state.hpp"
#include "io/bytes.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::string_view magic = "regauge sums";
constexpr std::uint32_t version = 3;
constexpr std::size_t headerBytes = 12 + 4 + 4 + 4 + 8 + 8 + 8;
constexpr std::size_t digestBytes = 64;
constexpr std::size_t blockBytes = std::size_t{1} << 20;
constexpr std::uint64_t largestD = 1u << 16;  // products of sizes below stay far inside 64 bits

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

// Values into a sink, a block at a time, hashed on their way.
class Writer {
public:
    explicit Writer(ByteSink& out) : out_(out) { block_.reserve(blockBytes + 8); }
    template <class T>
    void put(T value) {
        list(&value, 1);
    }
    void text(std::string_view words) { list(words.data(), words.size()); }
    template <class T>
    void list(const T* from, std::size_t count) {  // little-endian hosts only: kernels/element.hpp asserts it
        const auto* raw = reinterpret_cast<const std::byte*>(from);
        block_.insert(block_.end(), raw, raw + count * sizeof(T));
        if (block_.size() >= blockBytes) flush();
    }
    void finish() {
        flush();
        out_.write(asBytes(hash_.hex()));
    }

private:
    void flush() {
        hash_.update(block_);
        out_.write(block_);
        block_.clear();
    }
    ByteSink& out_;
    std::vector<std::byte> block_;
    Sha256 hash_;
};

// Takes values from a part of a source whose length has been checked.
class Taker {
public:
    Taker(const ByteSource& source, std::uint64_t offset, std::uint64_t size)
        : source_(source), next_(offset), left_(size) {}
    template <class T>
    T take() {
        T value;
        list(&value, 1);
        return value;
    }
    template <class T>
    void list(T* to, std::size_t count) {
        std::span<std::byte> into(reinterpret_cast<std::byte*>(to), count * sizeof(T));
        while (!into.empty()) {
            if (at_ == block_.size()) refill();
            const std::size_t here = std::min(into.size(), block_.size() - at_);
            std::memcpy(into.data(), block_.data() + at_, here);
            into = into.subspan(here);
            at_ += here;
        }
    }

private:
    void refill() {
        block_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(blockBytes, left_)));
        source_.read(next_, block_);
        next_ += block_.size(), left_ -= block_.size(), at_ = 0;
    }
    const ByteSource& source_;
    std::uint64_t next_;
    std::uint64_t left_;
    std::vector<std::byte> block_;
    std::size_t at_ = 0;
};

void writeSums(Writer& out, const TileSums& sums, std::size_t d, bool wide) {
    forEachPair(sums, d, [&](std::size_t tile, std::size_t at) {
        const std::int64_t value = sums.at(tile, at);
        if (wide) {
            out.put<std::int64_t>(value);
        } else {
            out.put<std::int32_t>(static_cast<std::int32_t>(value));
        }
    });
}

void requireBound(std::int64_t value, std::int64_t bound, const std::string& where) {
    if (value > bound || value < -bound)
        throw Error(ErrorCode::malformed, where, "these sums are larger than their number of rows allows");
}

void readSums(Taker& in, TileSums& sums, std::size_t d, std::uint64_t rows, int limit, bool wide,
              const std::string& where) {
    const std::int64_t bound = static_cast<std::int64_t>(rows) * limit * limit;
    sums.makeRoomFor(rows, 1);
    forEachPair(sums, d, [&](std::size_t tile, std::size_t at) {
        const std::int64_t value = wide ? in.take<std::int64_t>() : in.take<std::int32_t>();
        requireBound(value, bound, where);
        if (sums.wide()) {
            sums.wideTile(tile)[at] = value;
        } else {
            sums.narrowTile(tile)[at] = static_cast<std::int32_t>(value);
        }
    });
}

Quantizer readQuantizer(Taker& in, std::size_t d, int limit, const std::string& where) {
    Quantizer quantizer;
    quantizer.limit = limit;
    quantizer.rowLimit = in.take<double>();
    quantizer.centre.resize(d);
    quantizer.step.resize(d);
    in.list(quantizer.centre.data(), d);
    in.list(quantizer.step.data(), d);
    if (!std::isfinite(quantizer.rowLimit))
        throw Error(ErrorCode::malformed, where, "the limit of row norms is not a number");
    return quantizer;
}

void readTotals(Taker& in, ChannelSums& sums, std::size_t d, std::uint64_t rows, int limit, const std::string& where) {
    const auto n = static_cast<std::int64_t>(rows);
    in.list(sums.sums.data(), d);
    in.list(sums.squares.data(), d);
    for (std::size_t j = 0; j < d; ++j) {
        requireBound(sums.sums[j], n * limit, where);
        requireBound(sums.squares[j], n * limit * limit, where);
        if (sums.squares[j] < 0) throw Error(ErrorCode::malformed, where, "a sum of squares is negative");
    }
}

void readMassive(Taker& in, CorrelationSide& side, std::uint64_t setAside, const std::string& where) {
    in.list(side.massive.data(), side.massive.size());
    for (const std::int64_t sum : side.massive)
        requireBound(sum, static_cast<std::int64_t>(setAside) * CorrelationSums::mostMassive, where);
}

// Bytes of one side's quantizer and totals.
std::uint64_t sideBytes(std::uint64_t d) { return 8 + d * (4 + 4 + 2 * (8 + 8) + 8); }

std::uint64_t imageBytes(const CorrelationSums::Image& image) {
    const std::uint64_t pairs =
        image.rows() == 0 ? 0 : 2 * image.d * image.d + (image.withGram ? image.d * (image.d + 1) : 0);
    return headerBytes + 2 * sideBytes(image.d) + pairs * (image.wide ? 8 : 4) + digestBytes;
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

}  // namespace

void CorrelationSums::write(ByteSink& sink) const {
    const State& state = settled();
    const bool wide = state.rows() > TileSums::narrowRows(state.limit);
    Writer out(sink);
    out.text(magic);
    out.put<std::uint32_t>(version);
    out.put<std::uint32_t>(static_cast<std::uint32_t>(state.d));
    out.put<std::uint8_t>(state.withGram ? 1 : 0);
    out.put<std::uint8_t>(wide ? 1 : 0);
    out.put<std::uint16_t>(static_cast<std::uint16_t>(state.limit));
    for (const CorrelationHalf& half : state.half) out.put<std::uint64_t>(half.rows);
    out.put<std::uint64_t>(state.setAside);
    for (const CorrelationSide* side : {&state.x, &state.y}) {
        out.put<double>(side->quantizer.rowLimit);
        out.list(side->quantizer.centre.data(), state.d);
        out.list(side->quantizer.step.data(), state.d);
        for (const ChannelSums& sums : side->half) {
            out.list(sums.sums.data(), state.d);
            out.list(sums.squares.data(), state.d);
        }
        out.list(side->massive.data(), state.d);
    }
    if (state.rows() > 0) {
        for (const CorrelationHalf& half : state.half) writeSums(out, half.cross, state.d, wide);
        if (state.withGram) {
            writeSums(out, state.x.gram, state.d, wide);
            writeSums(out, state.y.gram, state.d, wide);
        }
    }
    out.finish();
}

CorrelationSums::Image CorrelationSums::image(const ByteSource& source, std::uint64_t offset,
                                              const std::string& where) {
    const std::uint64_t available = source.size() - std::min(offset, source.size());
    if (available < headerBytes + digestBytes) {
        throw Error(ErrorCode::truncated, where,
                    "expected an image of correlation sums, found " + std::to_string(available) + " bytes");
    }
    Taker in(source, offset, headerBytes);
    std::array<char, magic.size()> begin{};
    in.list(begin.data(), begin.size());
    if (std::string_view(begin.data(), begin.size()) != magic) {
        throw Error(ErrorCode::malformed, where,
                    "expected an image of correlation sums, which begins with \"regauge sums\"");
    }
    const auto found = in.take<std::uint32_t>();
    if (found != version) {
        throw Error(ErrorCode::unsupported, where,
                    "expected version " + std::to_string(version) + ", found " + std::to_string(found) +
                        "; sum the rows again with this regauge");
    }
    Image image;
    image.d = in.take<std::uint32_t>();
    const auto gramFlag = in.take<std::uint8_t>();
    const auto wideFlag = in.take<std::uint8_t>();
    image.limit = in.take<std::uint16_t>();
    for (std::uint64_t& ofHalf : image.rowsOfHalf) ofHalf = in.take<std::uint64_t>();
    image.setAside = in.take<std::uint64_t>();
    image.withGram = gramFlag == 1;
    image.wide = wideFlag == 1;
    if (image.d > largestD || image.rowsOfHalf[0] > mostRows || image.rowsOfHalf[1] > mostRows ||
        image.rows() > mostRows || image.setAside > mostRows || gramFlag > 1 || wideFlag > 1 ||
        !kernels::isLimit(image.limit) || image.wide != (image.rows() > TileSums::narrowRows(image.limit))) {
        throw Error(ErrorCode::malformed, where, "the header of these correlation sums contradicts itself");
    }
    image.bytes = imageBytes(image);
    if (available < image.bytes) {
        throw Error(ErrorCode::truncated, where,
                    "expected " + std::to_string(image.bytes) + " bytes, found " + std::to_string(available));
    }
    return image;
}

QuantizerPair CorrelationSums::readQuantizers(const ByteSource& source, std::uint64_t offset,
                                              const std::string& where) {
    const Image header = image(source, offset, where);
    requireDigest(source, offset, header.bytes, where);
    const std::uint64_t bytesOfSide = sideBytes(header.d);
    Taker x(source, offset + headerBytes, bytesOfSide);
    Taker y(source, offset + headerBytes + bytesOfSide, bytesOfSide);
    return {readQuantizer(x, static_cast<std::size_t>(header.d), header.limit, where),
            readQuantizer(y, static_cast<std::size_t>(header.d), header.limit, where)};
}

CorrelationSums CorrelationSums::read(const ByteSource& source, std::uint64_t offset, const std::string& where) {
    const Image header = image(source, offset, where);
    requireDigest(source, offset, header.bytes, where);

    const std::size_t channels = static_cast<std::size_t>(header.d);
    const std::uint64_t bytesOfSide = sideBytes(header.d);
    const std::uint64_t products = offset + headerBytes + 2 * bytesOfSide;
    Taker x(source, offset + headerBytes, bytesOfSide);
    Taker y(source, offset + headerBytes + bytesOfSide, bytesOfSide);
    Quantizer quantizerX = readQuantizer(x, channels, header.limit, where);
    Quantizer quantizerY = readQuantizer(y, channels, header.limit, where);
    std::unique_ptr<State> state;
    try {
        state = std::make_unique<State>(std::move(quantizerX), std::move(quantizerY), header.withGram);
    } catch (const Error& error) {
        throw Error(ErrorCode::malformed, where, error.what());
    }
    state->setAside = header.setAside;
    Taker sums(source, products, offset + header.bytes - digestBytes - products);
    for (std::size_t k = 0; k < 2; ++k) {
        const std::uint64_t rows = header.rowsOfHalf[k];
        state->half[k].rows = rows;
        readTotals(x, state->x.half[k], channels, rows, header.limit, where);
        readTotals(y, state->y.half[k], channels, rows, header.limit, where);
        if (header.rows() > 0) readSums(sums, state->half[k].cross, channels, rows, header.limit, header.wide, where);
    }
    readMassive(x, state->x, header.setAside, where);
    readMassive(y, state->y, header.setAside, where);
    if (header.withGram && header.rows() > 0) {
        readSums(sums, state->x.gram, channels, header.rows(), header.limit, header.wide, where);
        readSums(sums, state->y.gram, channels, header.rows(), header.limit, header.wide, where);
    }
    return CorrelationSums(std::move(state));
}

std::vector<std::byte> CorrelationSums::serialize() const {
    MemorySink sink;
    write(sink);
    return sink.take();
}

CorrelationSums CorrelationSums::deserialize(std::span<const std::byte> bytes, const std::string& where) {
    const MemorySource source(where, bytes);
    CorrelationSums sums = read(source, 0, where);
    if (const std::uint64_t expected = image(source, 0, where).bytes; bytes.size() != expected) {
        throw Error(ErrorCode::malformed, where,
                    "expected " + std::to_string(expected) + " bytes, found " + std::to_string(bytes.size()));
    }
    return sums;
}

}  // namespace regauge

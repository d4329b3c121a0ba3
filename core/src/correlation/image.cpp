// The byte image of CorrelationSums: to merge shards on another machine, or later.
//
//   "regauge sums"  12 bytes         then little-endian:
//   u32 version (3) · u32 d · u8 withGram · u8 wide · u16 limit (63 or 511; 127 in earlier files)
//   u64 rows of half 0 · u64 rows of half 1 · u64 set aside
//   for x, then y: f64 rowLimit · f32 centre [d] · f32 step [d] · for half 0, then 1: i64 sums [d] · i64 squares [d];
//   i64 sums of massive rows [d]
//   where there are rows: cross [d, d] of half 0, then 1, then (withGram) the Gram matrices of x and y, their lower
//   triangles: [i, j] row by row, i32 or (wide) i64 the SHA-256 of everything before it, in 64 hexadecimal digits
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "correlation/state.hpp"
#include "correlation/sums_image.hpp"
#include "io/bytes.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

using image::digestBytes;
using image::largestD;
using image::requireBound;
using image::requireDigest;
using image::Taker;
using image::Writer;

constexpr std::string_view magic = "regauge sums";
constexpr std::uint32_t version = 3;
constexpr std::size_t headerBytes = 12 + 4 + 4 + 4 + 8 + 8 + 8;

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
        for (const CorrelationHalf& half : state.half) out.products(half.cross, state.d, wide);
        if (state.withGram) {
            out.products(state.x.gram, state.d, wide);
            out.products(state.y.gram, state.d, wide);
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
    image::requireBytes(source, offset, image.bytes, where);
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
        if (header.rows() > 0) sums.products(state->half[k].cross, channels, rows, header.limit, header.wide, where);
    }
    readMassive(x, state->x, header.setAside, where);
    readMassive(y, state->y, header.setAside, where);
    if (header.withGram && header.rows() > 0) {
        sums.products(state->x.gram, channels, header.rows(), header.limit, header.wide, where);
        sums.products(state->y.gram, channels, header.rows(), header.limit, header.wide, where);
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

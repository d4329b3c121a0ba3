// The byte image of CorrelationSums: to merge shards on another machine, or later.
//
//   "regauge sums"  12 bytes         then little-endian:
//   u32 version (2) · u32 d · u8 withGram · u8 wide · u16 limit (127 or 511)
//   u64 rows of half 0 · u64 rows of half 1 · u64 set aside
//   for x, then y: f64 rowLimit · f32 centre [d] · f32 step [d] · for half 0, then 1: i64 sums [d] · i64 squares [d]
//   cross [d, d] of half 0, then 1, then (withGram) the Gram matrices of x and y, their lower triangles: [i, j] row by row, i32 or (wide) i64
//   the SHA-256 of everything before it, in 64 hexadecimal digits
//
// An image is input from outside: every size follows from d and is checked before memory is taken, and sums that no rows could give are refused.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "correlation_state.hpp"
#include "regauge/error.hpp"
#include "sha256.hpp"

namespace regauge {
namespace {

constexpr std::string_view magic = "regauge sums";
constexpr std::uint32_t version = 2;
constexpr std::size_t headerBytes = 12 + 4 + 4 + 4 + 8 + 8 + 8;
constexpr std::size_t digestBytes = 64;
constexpr std::uint64_t largestD = 1u << 16;         // products of sizes below stay far inside 64 bits
constexpr std::uint64_t mostRows = std::uint64_t{1} << 32;  // correlations stay inside 128 bits

std::string digest(std::span<const std::byte> bytes) {
    Sha256 hash;
    hash.update(bytes);
    return hash.hex();
}

// Calls fn(tile, offset in the tile) for every [i, j] that the image holds, row by row.
template <class Fn>
void forEachPair(const TileSums& sums, std::size_t d, Fn&& fn) {
    for (std::size_t i = 0; i < d; ++i) {
        const std::size_t end = sums.shape() == TileSums::Shape::lower ? i + 1 : d;
        for (std::size_t j = 0; j < end; ++j) {
            fn(sums.tileIndex(i / kernels::panelWidth, j / kernels::panelWidth), i % kernels::panelWidth * kernels::panelWidth + j % kernels::panelWidth);
        }
    }
}

class Writer {
public:
    template <class T>
    void put(T value) {
        std::byte raw[sizeof(T)];
        std::memcpy(raw, &value, sizeof(T));  // little-endian hosts only: kernels/element.hpp asserts it
        bytes.insert(bytes.end(), raw, raw + sizeof(T));
    }
    void text(std::string_view words) {
        for (const char c : words) bytes.push_back(static_cast<std::byte>(c));
    }
    template <class T>
    void list(const T* from, std::size_t count) {
        const auto* raw = reinterpret_cast<const std::byte*>(from);
        bytes.insert(bytes.end(), raw, raw + count * sizeof(T));
    }
    std::vector<std::byte> bytes;
};

// Takes values from bytes whose number has been checked.
class Taker {
public:
    explicit Taker(std::span<const std::byte> bytes) : rest_(bytes) {}
    template <class T>
    T take() {
        T value;
        std::memcpy(&value, rest_.data(), sizeof(T));
        rest_ = rest_.subspan(sizeof(T));
        return value;
    }
    template <class T>
    void list(T* to, std::size_t count) {
        if (count > 0) std::memcpy(to, rest_.data(), count * sizeof(T));
        rest_ = rest_.subspan(count * sizeof(T));
    }

private:
    std::span<const std::byte> rest_;
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
    if (value > bound || value < -bound) throw Error(ErrorCode::malformed, where, "these sums are larger than their number of rows allows");
}

void readSums(Taker& in, TileSums& sums, std::size_t d, std::uint64_t rows, int limit, bool wide, const std::string& where) {
    const std::int64_t bound = static_cast<std::int64_t>(rows) * limit * limit;
    sums.makeRoomFor(rows);
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
    if (!std::isfinite(quantizer.rowLimit)) throw Error(ErrorCode::malformed, where, "the limit of row norms is not a number");
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

// Bytes of one side's quantizer and totals.
std::uint64_t sideBytes(std::uint64_t d) { return 8 + d * (4 + 4 + 2 * (8 + 8)); }

std::uint64_t imageBytes(std::uint64_t d, bool withGram, bool wide) {
    const std::uint64_t pairs = 2 * d * d + (withGram ? d * (d + 1) : 0);
    return headerBytes + 2 * sideBytes(d) + pairs * (wide ? 8 : 4) + digestBytes;
}

}  // namespace

std::vector<std::byte> CorrelationSums::serialize() const {
    const State& state = settled();
    const bool wide = state.rows() > TileSums::narrowRows(state.limit);
    Writer out;
    out.bytes.reserve(static_cast<std::size_t>(imageBytes(state.d, state.withGram, wide)));
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
    }
    for (const CorrelationHalf& half : state.half) writeSums(out, half.cross, state.d, wide);
    if (state.withGram) {
        writeSums(out, state.x.gram, state.d, wide);
        writeSums(out, state.y.gram, state.d, wide);
    }
    out.text(digest(out.bytes));
    return std::move(out.bytes);
}

CorrelationSums CorrelationSums::deserialize(std::span<const std::byte> bytes, const std::string& where) {
    if (bytes.size() < headerBytes + digestBytes) {
        throw Error(ErrorCode::truncated, where, "expected an image of correlation sums, found " + std::to_string(bytes.size()) + " bytes");
    }
    if (std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) {
        throw Error(ErrorCode::malformed, where, "expected an image of correlation sums, which begins with \"regauge sums\"");
    }
    Taker header(bytes.subspan(magic.size()));
    const auto found = header.take<std::uint32_t>();
    if (found != version) {
        throw Error(ErrorCode::unsupported, where,
                    "expected version " + std::to_string(version) + ", found " + std::to_string(found) + "; sum the rows again with this regauge");
    }
    const std::uint64_t d = header.take<std::uint32_t>();
    const auto gramFlag = header.take<std::uint8_t>();
    const auto wideFlag = header.take<std::uint8_t>();
    const int limit = header.take<std::uint16_t>();
    std::array<std::uint64_t, 2> rows{};
    for (std::uint64_t& ofHalf : rows) ofHalf = header.take<std::uint64_t>();
    const auto setAside = header.take<std::uint64_t>();
    if (d > largestD || rows[0] > mostRows || rows[1] > mostRows || gramFlag > 1 || (limit != kernels::coarseLimit && limit != kernels::fineLimit) ||
        (wideFlag != 0) != (rows[0] + rows[1] > TileSums::narrowRows(limit)) || wideFlag > 1) {
        throw Error(ErrorCode::malformed, where, "the header of these correlation sums contradicts itself");
    }
    const bool withGram = gramFlag == 1;
    const bool wide = wideFlag == 1;
    const std::uint64_t expected = imageBytes(d, withGram, wide);
    if (bytes.size() != expected) {
        throw Error(bytes.size() < expected ? ErrorCode::truncated : ErrorCode::malformed, where,
                    "expected " + std::to_string(expected) + " bytes, found " + std::to_string(bytes.size()));
    }
    const auto body = bytes.first(bytes.size() - digestBytes);
    const std::string wanted = digest(body);
    if (std::memcmp(wanted.data(), bytes.data() + body.size(), digestBytes) != 0) {
        throw Error(ErrorCode::malformed, where, "the checksum does not fit; the bytes were damaged on their way, so copy them again");
    }

    const std::size_t channels = static_cast<std::size_t>(d);
    const auto bytesOfSide = static_cast<std::size_t>(sideBytes(d));
    const auto sideX = body.subspan(headerBytes, bytesOfSide);
    const auto sideY = body.subspan(headerBytes + bytesOfSide, bytesOfSide);
    Taker x(sideX);
    Taker y(sideY);
    Quantizer quantizerX = readQuantizer(x, channels, limit, where);
    Quantizer quantizerY = readQuantizer(y, channels, limit, where);
    std::unique_ptr<State> state;
    try {
        state = std::make_unique<State>(std::move(quantizerX), std::move(quantizerY), withGram);
    } catch (const Error& error) {
        throw Error(ErrorCode::malformed, where, error.what());
    }
    state->setAside = setAside;
    Taker sums(body.subspan(headerBytes + 2 * bytesOfSide));
    for (std::size_t k = 0; k < 2; ++k) {
        state->half[k].rows = rows[k];
        readTotals(x, state->x.half[k], channels, rows[k], limit, where);
        readTotals(y, state->y.half[k], channels, rows[k], limit, where);
        readSums(sums, state->half[k].cross, channels, rows[k], limit, wide, where);
    }
    if (withGram) {
        readSums(sums, state->x.gram, channels, rows[0] + rows[1], limit, wide, where);
        readSums(sums, state->y.gram, channels, rows[0] + rows[1], limit, wide, where);
    }
    return CorrelationSums(std::move(state));
}

}  // namespace regauge

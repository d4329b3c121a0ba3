// The byte image of JointSums.
//
//   "regauge joint"  13 bytes         then little-endian:
//   u8 0 · u16 version (1) · u32 d of x · u32 d of y · u64 rows of half 0 · u64 rows of half 1 · u64 set aside
//   for x, then y: f64 rowLimit · f64 centre [d] · f64 step [d]
//   for half 0, then 1: i64 sums [p] of the packed channels, p = 2 (d of x + d of y), their products [p, p], lower
//   triangle: [i, j] row by row, i64; where there are rows
//   the SHA-256 of everything before it, in 64 hexadecimal digits
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <string_view>

#include "correlation/sums_image.hpp"
#include "maps/joint_sums.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

using image::digestBytes;
using image::Taker;
using image::Writer;

constexpr std::string_view magic = "regauge joint";
constexpr std::uint16_t version = 1;
constexpr std::size_t headerBytes = magic.size() + 1 + 2 + 2 * 4 + 3 * 8;

std::uint64_t stepsBytes(std::uint64_t d) { return 8 + 2 * 8 * d; }

FineSteps readSide(Taker& in, std::size_t d, const std::string& where) {
    const auto limit = in.take<double>();
    std::vector<double> centre(d), step(d);
    in.list(centre.data(), d);
    in.list(step.data(), d);
    const auto known = [](double value) { return std::fabs(value) <= static_cast<double>(FLT_MAX); };  // not NaN either
    const auto isStep = [](double value) {
        int exponent = 0;
        return value == 0 || std::frexp(value, &exponent) == 0.5;
    };
    if (!(limit >= 0 && std::isfinite(limit)) || !std::ranges::all_of(centre, known) ||
        !std::ranges::all_of(step, known) || !std::ranges::all_of(step, isStep))
        throw Error(ErrorCode::malformed, where, "the scale of these sums is none that rows give");
    return {limit, std::move(centre), std::move(step)};
}

}  // namespace

std::uint64_t JointSums::bytesOf(std::uint64_t dx, std::uint64_t dy) {
    const std::uint64_t packed = 2 * (dx + dy);
    return 2 * sizeof(std::int64_t) * (packed + packed * (packed + 1) / 2);
}

void JointSums::write(ByteSink& sink) const {
    Writer out(sink);
    out.text(magic);
    out.put<std::uint8_t>(0);
    out.put<std::uint16_t>(version);
    for (const FineSteps* side : {&steps_.x, &steps_.y}) out.put<std::uint32_t>(static_cast<std::uint32_t>(side->d()));
    for (const Half& half : half_) out.put<std::uint64_t>(half.rows);
    out.put<std::uint64_t>(setAside_);
    for (const FineSteps* side : {&steps_.x, &steps_.y}) {
        out.put<double>(side->rowLimit());
        out.list(side->centres().data(), side->d());
        out.list(side->steps().data(), side->d());
    }
    const std::size_t packed = 2 * (steps_.x.d() + steps_.y.d());
    for (const Half& half : half_) {
        if (rows() == 0) break;
        out.list(half.sums.data(), packed);
        out.products(half.products, packed, true);
    }
    out.finish();
}

JointSums::Image JointSums::image(const ByteSource& source, std::uint64_t offset, const std::string& where) {
    image::requireBytes(source, offset, headerBytes + digestBytes, where);
    Taker in(source, offset, headerBytes);
    std::array<char, magic.size()> begin{};
    in.list(begin.data(), begin.size());
    if (std::string_view(begin.data(), begin.size()) != magic)
        throw Error(ErrorCode::malformed, where,
                    "expected an image of sums for a map, which begins with \"regauge joint\"");
    in.take<std::uint8_t>();
    if (const auto found = in.take<std::uint16_t>(); found != version)
        throw Error(ErrorCode::unsupported, where,
                    "expected version " + std::to_string(version) + " of sums for a map, found " +
                        std::to_string(found) + "; sum the rows again with this regauge");
    Image image;
    image.dx = in.take<std::uint32_t>(), image.dy = in.take<std::uint32_t>();
    for (std::uint64_t& ofHalf : image.rowsOfHalf) ofHalf = in.take<std::uint64_t>();
    image.setAside = in.take<std::uint64_t>();
    constexpr std::uint64_t mostRows = CorrelationSums::mostRows;
    if (image.dx > image::largestD || image.dy > image::largestD || image.rowsOfHalf[0] > mostRows ||
        image.rowsOfHalf[1] > mostRows || image.rows() > mostRows || image.setAside > mostRows)
        throw Error(ErrorCode::malformed, where, "the header of these sums contradicts itself");
    image.bytes = headerBytes + stepsBytes(image.dx) + stepsBytes(image.dy) +
                  (image.rows() > 0 ? bytesOf(image.dx, image.dy) : 0) + digestBytes;
    image::requireBytes(source, offset, image.bytes, where);
    return image;
}

FineStepsPair JointSums::readQuantizers(const ByteSource& source, std::uint64_t offset, const std::string& where) {
    const Image header = image(source, offset, where);
    image::requireDigest(source, offset, header.bytes, where);
    Taker in(source, offset + headerBytes, stepsBytes(header.dx) + stepsBytes(header.dy));
    FineSteps x = readSide(in, static_cast<std::size_t>(header.dx), where);
    return {std::move(x), readSide(in, static_cast<std::size_t>(header.dy), where)};
}

JointSums JointSums::read(const ByteSource& source, std::uint64_t offset, const std::string& where) {
    const Image header = image(source, offset, where);
    JointSums sums(readQuantizers(source, offset, where));
    sums.setAside_ = header.setAside;
    const std::uint64_t from = headerBytes + stepsBytes(header.dx) + stepsBytes(header.dy);
    Taker in(source, offset + from, header.bytes - digestBytes - from);
    const auto packed = static_cast<std::size_t>(2 * (header.dx + header.dy));
    for (std::size_t k = 0; k < 2; ++k) {
        Half& half = sums.half_[k];
        half.rows = header.rowsOfHalf[k];
        half.products.makeRoomFor(half.rows, 1);
        if (header.rows() == 0) continue;
        in.list(half.sums.data(), packed);
        for (std::size_t j = 0; j < packed; ++j)
            image::requireBound(half.sums[j], static_cast<std::int64_t>(half.rows) * FineSteps::digit, where);
        in.products(half.products, packed, half.rows, FineSteps::digit, true, where);
    }
    return sums;
}

}  // namespace regauge

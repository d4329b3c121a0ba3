#include "io/bytes.hpp"

#include <algorithm>
#include <limits>

#include "regauge/io/within.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t copyBlock = std::uint64_t{256} << 10;  // what the second-level cache holds

}  // namespace

std::optional<std::uint64_t> byteCount(Dtype dtype, const Shape& shape) {
    const std::optional<std::uint64_t> count = elementCount(shape);
    constexpr std::uint64_t most = (std::uint64_t{1} << 63) - 1;
    if (!count || *count > most / byteSize(dtype)) return std::nullopt;
    return *count * byteSize(dtype);
}

std::vector<std::byte> readBytes(const ByteSource& source, std::uint64_t offset, std::uint64_t count) {
    requireWithin(source, offset, count);  // before allocating: a size in a file is only a claim
    if (count > std::numeric_limits<std::size_t>::max() / 2) {
        throw Error(ErrorCode::tooLarge, source.name(), std::to_string(count) + " bytes do not fit in memory");
    }
    std::vector<std::byte> bytes(static_cast<std::size_t>(count));
    source.read(offset, bytes);
    return bytes;
}

std::span<std::byte> roomIn(ByteSink& out, std::size_t count, std::vector<std::byte>& otherwise) {
    const std::span<std::byte> room = out.room(count);
    if (!room.empty()) return room;
    if (otherwise.size() < count) otherwise.resize(count);
    return std::span(otherwise).first(count);
}

void copyBytes(const ByteSource& source, std::uint64_t offset, std::uint64_t count, ByteSink& out) {
    requireWithin(source, offset, count);
    std::vector<std::byte> block;
    while (count > 0) {
        const std::span<std::byte> part = roomIn(out, static_cast<std::size_t>(std::min(count, copyBlock)), block);
        source.read(offset, part);
        out.write(part);
        offset += part.size();
        count -= part.size();
    }
}

SliceSource::SliceSource(std::shared_ptr<const ByteSource> whole, std::uint64_t offset, std::uint64_t size,
                         std::string name)
    : whole_(std::move(whole)), offset_(offset), size_(size), name_(std::move(name)) {
    requireWithin(*whole_, offset, size);
}

void SliceSource::read(std::uint64_t offset, std::span<std::byte> into) const {
    requireWithin(*this, offset, into.size());
    whole_->read(offset_ + offset, into);
}

void ExactSink::write(std::span<const std::byte> bytes) {
    if (bytes.size() > expected_ - written_) {
        throw Error(ErrorCode::internal, where_,
                    "a move wrote more than the tensor's " + std::to_string(expected_) + " bytes");
    }
    out_.write(bytes);
    written_ += bytes.size();
}

void ExactSink::finish() const {
    if (written_ != expected_) {
        throw Error(
            ErrorCode::internal, where_,
            "a move wrote " + std::to_string(written_) + " of the tensor's " + std::to_string(expected_) + " bytes");
    }
}

}  // namespace regauge

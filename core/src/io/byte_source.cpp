#include "regauge/io/byte_source.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/sha256.hpp"
#include "regauge/error.hpp"
#include "regauge/io/within.hpp"

namespace regauge {

std::function<std::optional<std::string>()> ByteSource::sha256() const {
    return [this, hash = Sha256(), at = std::uint64_t{0},
            piece = std::vector<std::byte>()]() mutable -> std::optional<std::string> {
        if (at == size()) return hash.hex();
        piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(size() - at, 256 << 10)));
        read(at, piece);
        hash.update(piece);
        at += piece.size();
        return std::nullopt;
    };
}

void requireWithin(const ByteSource& source, std::uint64_t offset, std::uint64_t count) {
    const std::uint64_t end = source.size();
    if (offset <= end && count <= end - offset) return;
    const std::uint64_t needed = offset + std::min(count, std::numeric_limits<std::uint64_t>::max() - offset);
    throw Error(ErrorCode::truncated, source.name(),
                "ends at byte " + std::to_string(end) + ", before byte " + std::to_string(needed) + " that is needed");
}

void MemorySource::read(std::uint64_t offset, std::span<std::byte> into) const {
    requireWithin(*this, offset, into.size());
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + static_cast<std::size_t>(offset), into.size());
}

}  // namespace regauge

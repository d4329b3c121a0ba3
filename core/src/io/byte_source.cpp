#include "regauge/io/byte_source.hpp"

#include <algorithm>
#include <cstring>

#include "base/sha256.hpp"
#include "regauge/error.hpp"

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

void MemorySource::read(std::uint64_t offset, std::span<std::byte> into) const {
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
        throw Error(ErrorCode::truncated, name_,
                    "expected " + std::to_string(into.size()) + " bytes at offset " + std::to_string(offset) +
                        ", but the file ends at " + std::to_string(bytes_.size()));
    }
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + static_cast<std::size_t>(offset), into.size());
}

}  // namespace regauge

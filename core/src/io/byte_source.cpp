#include "regauge/io/byte_source.hpp"

#include <cstring>

#include "regauge/error.hpp"

namespace regauge {

void MemorySource::read(std::uint64_t offset, std::span<std::byte> into) const {
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
        throw Error(ErrorCode::truncated, name_,
                    "expected " + std::to_string(into.size()) + " bytes at offset " + std::to_string(offset) + ", but the file ends at " + std::to_string(bytes_.size()));
    }
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + static_cast<std::size_t>(offset), into.size());
}

}  // namespace regauge

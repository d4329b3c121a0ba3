#include "codec/crc32.hpp"

#include <zlib.h>

namespace regauge {

void Crc32::update(std::span<const std::byte> bytes) {
    const auto* at = reinterpret_cast<const Bytef*>(bytes.data());
    if (at != nullptr) value_ = static_cast<std::uint32_t>(crc32_z(value_, at, bytes.size()));
}

}  // namespace regauge

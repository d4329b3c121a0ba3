// The one check that every ByteSource makes before it reads.
#pragma once

#include <cstdint>

#include "regauge/io/byte_source.hpp"

namespace regauge {

// Throws Error(truncated) where [offset, offset + count) reaches beyond the source's end.
void requireWithin(const ByteSource& source, std::uint64_t offset, std::uint64_t count);

}  // namespace regauge

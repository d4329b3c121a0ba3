// A tensor's bytes with its hidden axis moved, read by range.
#pragma once

#include <memory>

#include "hidden/roles.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

// `in` (offset 0 is the tensor's first byte, little-endian, row-major) of `info`, with axis 0 or, of a matrix, axis 1
// moved in units. Exact maps keep bits; others are computed in double and rounded once. Memory: one unit of rows, or
// some rows, and what they become. Not for several threads at once.
// Throws Error: wrongDtype (no float), shapeMismatch.
std::shared_ptr<const ByteSource> movedUnits(std::shared_ptr<const ByteSource> in, const TensorInfo& info,
                                             std::size_t axis, UnitMap map, const std::string& where);

}  // namespace regauge

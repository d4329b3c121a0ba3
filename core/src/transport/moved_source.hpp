// A tensor's bytes as they are after a move, read by range: for work that needs moved bytes beside others and writes no moved copy.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "regauge/gauge.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/recipe.hpp"

namespace regauge {

// Row-major, little-endian bytes of tensor `index` of `file`, its axes moved by the gauge, which must outlive the source.
// Reading in order costs what reading the tensor costs. Memory: one slab [d, inner] of the moved axis, or 1 MB where it is larger than 64 MB (then its rows
// are read where they lie). Not for several threads at once.
// Throws Error: unsupported (a big-endian or column-major array), and as moveAxis does.
std::shared_ptr<const ByteSource> movedTensorBytes(const TensorFile& file, std::size_t index, const std::vector<AxisMove>& moves, const Gauge& gauge);

}  // namespace regauge

// A whole tensor as floats.
#pragma once

#include <vector>

#include "regauge/io/tensor_file.hpp"

namespace regauge {

// The tensor at `index`, which must be of this shape. Throws Error: shapeMismatch, wrongDtype (no float, or quantised),
// and those of reading.
std::vector<float> readFloats(const TensorFile& file, std::size_t index, const Shape& shape);

}  // namespace regauge

// Blocks of little-endian floats as doubles, and back, rounded once.
#pragma once

#include <cstddef>
#include <span>

#include "regauge/tensor.hpp"

namespace regauge {

// F16, BF16, F32 and F64: what arithmetic on stored tensors is done for.
bool isArithmetic(Dtype dtype);

// Exact. bytes.size() is out.size() elements of an arithmetic dtype. Throws Error(internal) otherwise.
void loadDoubles(std::span<const std::byte> bytes, Dtype dtype, std::span<double> out);

// Rounded to nearest, ties to even, in one step; beyond the dtype's range infinity. Throws Error(internal) as
// loadDoubles does.
void storeDoubles(std::span<const double> values, Dtype dtype, std::span<std::byte> bytes);

// The largest finite number of an arithmetic dtype. Throws Error(internal) as loadDoubles does.
double largestOf(Dtype dtype);

}  // namespace regauge

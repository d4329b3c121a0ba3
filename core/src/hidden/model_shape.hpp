// Whether a hidden gauge is of the model that it is to move.
#pragma once

#include "regauge/hidden.hpp"
#include "transport/object_files.hpp"

namespace regauge {

// Throws Error(dimensionMismatch) where the config.json of the object says other layers, heads or RoPE planes than the
// gauge has: lengths of axes alone do not tell four heads of 16 channels from two of 32.
void requireShape(const HiddenGauge& hidden, const ObjectPath& object);

}  // namespace regauge

// Numbers as text that reads back as the same number.
#pragma once

#include <string>

namespace regauge {

// Short, e.g. "0.1", "3", "1e-05"; "inf", "-inf", "nan". Not std::to_chars, whose tables for floats are 50 KB of the
// gzipped wasm.
std::string numberText(double value);
std::string numberText(float value);

}  // namespace regauge

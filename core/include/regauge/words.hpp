// The words of enums: one list each, for flags, messages, files and JavaScript.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/tensor.hpp"

namespace regauge {

using Words = std::vector<std::string_view>;

// In the enum's order.
const Words& groupWords();
const Words& statisticWords();
const Words& verdictWords();
const Words& errorCodeWords();
const Words& dequantizedWords();  // the floats that quantised weights are written as: --dequantize

std::optional<Dtype> dequantizedFromName(std::string_view);

// "signed, permutation or layernorm".
std::string either(const Words& words);

}  // namespace regauge

// The words of enums: one list each, for flags, messages, files and JavaScript.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace regauge {

using Words = std::vector<std::string_view>;

// In the enum's order.
const Words& groupWords();
const Words& statisticWords();
const Words& verdictWords();
const Words& errorCodeWords();

// "signed, permutation or layernorm".
std::string either(const Words& words);

}  // namespace regauge

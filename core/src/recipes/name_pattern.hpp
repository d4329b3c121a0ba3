// Patterns over tensor and file names, as recipes write them.
#pragma once

#include <optional>
#include <string_view>

namespace regauge {

// Whether `name` fits `pattern`: literal characters, but
//     {l}, {e}    a number (a layer, an expert): one or more digits
//     {word}      one or more characters without '.'
//     {any}       anything, also nothing
//     {module}    the same, and captured: what stood there is returned ("" where the pattern has none)
// Nothing where it does not fit. Exponential in the number of {any} at worst; recipes have one or two.
std::optional<std::string_view> matchName(std::string_view pattern, std::string_view name);

}  // namespace regauge

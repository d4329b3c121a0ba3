// Text as a shell takes it, for commands that are printed to be copied.
#pragma once

#include <string>

namespace regauge {

// In single quotes.
std::string inQuotes(const std::string& text);
// A path as it is where a shell leaves it so, in quotes elsewhere; never one that a command would take for an option.
std::string shellWord(const std::string& text);

}  // namespace regauge

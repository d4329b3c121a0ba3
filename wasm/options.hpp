// Options as the package sends them: one JSON object a call, with the command's words.
#pragma once

#include <string>

#include "regauge/match.hpp"
#include "regauge/transport.hpp"

namespace regauge::wasm {

// {"group", "statistic", "sites", "rows", "skipFirst", "threads"}, each optional. Throws Error(usage).
MatchOptions matchOptions(const std::string& json);

// {"kind", "copyUnknown", "force"}, each optional. Throws Error(usage).
TransportOptions transportOptions(const std::string& json);

}  // namespace regauge::wasm

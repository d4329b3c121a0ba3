// Options as the package sends them: one JSON object a call, with the command's words.
#pragma once

#include <string>
#include <vector>

#include "regauge/match.hpp"
#include "regauge/transport.hpp"

namespace regauge::wasm {

struct AlignOptions {
    MatchOptions match;
    std::vector<std::string> gains;  // two files with more gains, of the source and of the target, or none
};
// {"group", "statistic", "sites", "rows", "skipFirst", "threads", "gains"}, each optional. threads: where the options do not say. Throws Error(usage).
AlignOptions alignOptions(const std::string& json, unsigned threads);

// {"kind", "copyUnknown", "force"}, each optional. Throws Error(usage).
TransportOptions transportOptions(const std::string& json);

}  // namespace regauge::wasm

// The hidden part of a gauge file as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "regauge/hidden.hpp"

namespace regauge {

// What stands under "hidden" (docs/gauge-format.md), in the file's key order.
nlohmann::ordered_json hiddenObject(const HiddenGauge& hidden);

// What parseHidden reads of a file's JSON as parseJson gives it. Throws as parseHidden.
std::optional<HiddenGauge> hiddenFrom(const nlohmann::json& file, const std::string& where);

}  // namespace regauge

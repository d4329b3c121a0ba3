// The JSON object of a gauge file, for those who read or write it with its hidden part: its text is parsed once.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "regauge/alignment.hpp"

namespace regauge {

// What toJson writes, in the file's key order.
nlohmann::ordered_json gaugeObject(const Alignment& alignment);

// What parseGauge reads of a file's JSON as parseJson gives it, discarded where the text is none. Throws as parseGauge.
Alignment alignmentFrom(const nlohmann::json& file, const std::string& where);

}  // namespace regauge

// The gauge file: JSON, one object, stable key order.
#pragma once

#include <string>
#include <string_view>

#include "regauge/alignment.hpp"
#include "regauge/io/byte_source.hpp"

namespace regauge {

// The file's text, with a newline at its end. The same alignment gives the same bytes everywhere.
std::string toJson(const Alignment& alignment);

// Reads a gauge file. Only format, version, d, group, perm and sign are required, so a hand-written gauge is welcome.
// Throws Error: malformed (not JSON, not a gauge file, a wrong type), unsupported (a later version), invalidGauge (also
// when the fingerprint disagrees).
Alignment parseGauge(std::string_view text, const std::string& where);

// Whether a file says of itself that it is a gauge.
bool isGaugeFile(const ByteSource& file);

// The text of a gauge file. Throws as Files::open does; malformed where it is too large for one.
std::string gaugeText(const Files& files, const std::string& path);

// Opens and parses; throws as Files::open and parseGauge do.
Alignment readGauge(const Files& files, const std::string& path);

}  // namespace regauge

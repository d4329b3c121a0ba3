// The record of the gauges that moved an object, oldest first, and how it cancels.
#pragma once

#include <string>

#include "regauge/gauge.hpp"

namespace regauge {

// "<fingerprint>,<fingerprint>": `record` with this gauge's fingerprint at its end; or, where the gauge undoes the last
// one, without that one.
// Then an object that is moved and moved back has no record, and is the input byte for byte. The identity leaves no
// trace.
std::string recordAfter(const std::string& record, const Gauge& gauge);
// The same of anything with a fingerprint, and that of its inverse.
std::string recordAfter(const std::string& record, const std::string& fingerprint, const std::string& inverse);

}  // namespace regauge

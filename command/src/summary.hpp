// What `align`, `show` and `inspect` say in words; as JSON, regauge/reports.hpp has it.
#pragma once

#include <string>

#include "regauge/reports.hpp"

namespace regauge {

// "97.7 %".
std::string percent(double fraction);

std::string summaryText(const Alignment& alignment);

// A plan as a table: name, dtype, shape, axis, action, why.
std::string planText(const Plan& plan);

}  // namespace regauge

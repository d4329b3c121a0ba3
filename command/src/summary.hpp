// What `align` and `show` say of an alignment: in words, and as one JSON object.
#pragma once

#include <string>

#include "regauge/match.hpp"
#include "regauge/recipe.hpp"
#include "regauge/trace.hpp"

namespace regauge {

// "97.7 %".
std::string percent(double fraction);

std::string summaryText(const Alignment& alignment);
std::string summaryJson(const Alignment& alignment);
// The summary, with the path and every pair that was matched.
std::string traceJson(const Trace& trace);

// A plan as a table: name, dtype, shape, axis, action, why.
std::string planText(const Plan& plan);
std::string planJson(const Plan& plan);

}  // namespace regauge

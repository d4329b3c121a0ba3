// Of normal numbers.
#pragma once

namespace regauge {

inline constexpr double medianOfSquare = 0.4549;  // of a standard normal number: its quartile's square

}  // namespace regauge

// What is said of heads and neurons.
#pragma once

#include <string>

#include "regauge/hidden.hpp"

namespace regauge {

// A table of the layers, and the shares over all of them.
std::string hiddenText(const HiddenAlignment& found);
// summaryJson with "hidden" in it.
std::string hiddenJson(const HiddenAlignment& found);
// One line: layers, neurons, heads, whether it is the identity, fingerprint.
std::string hiddenLine(const HiddenGauge& hidden);

}  // namespace regauge

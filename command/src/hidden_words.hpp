// What is said of heads and neurons.
#pragma once

#include <optional>
#include <string>

#include "regauge/gauge_file.hpp"

namespace regauge {

// A table of the layers, and the shares over all of them.
std::string hiddenText(const HiddenAlignment& found);
// The shares of sure units over all layers, as shareSure says.
struct SureUnits {
    std::optional<double> neurons, heads;
};
SureUnits sureUnits(const HiddenGauge& hidden);

// The summary, with one line of the hidden part where there is one: layers, neurons, heads, whether it is the identity,
// fingerprint.
std::string summaryText(const GaugeFile& gauge);

}  // namespace regauge

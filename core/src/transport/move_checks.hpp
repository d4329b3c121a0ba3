// What must hold before an object moves by a gauge.
#pragma once

#include <string>

#include "regauge/alignment.hpp"
#include "regauge/transport.hpp"
#include "transport/planned_object.hpp"

namespace regauge {

// The gauge that this object takes: its width, its verdict, and signs only where signs are its symmetry.
// Throws Error: unrelated (unless forced), dimensionMismatch, unsupported.
void checkGauge(const Plan& plan, const Alignment& alignment, const std::string& object,
                const TransportOptions& options);

// The same for an object with its files, which may refuse even one sign for all channels. Throws what that throws.
void checkGauge(const PlannedObject& planned, const Alignment& alignment, const std::string& object,
                const TransportOptions& options);

// Odd axes hold floats, and every sign that they need is there. Throws Error: wrongDtype, undeterminedSign.
void checkTensors(const Plan& plan, const Gauge& gauge, const std::string& object);

}  // namespace regauge

// Objects that live on MLP neurons: at one hook, in the places and signs of one layer's neurons.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "hidden/roles.hpp"
#include "regauge/gauge.hpp"
#include "regauge/transport.hpp"
#include "transport/object_files.hpp"

namespace regauge {

struct NeuronSpace {
    std::string hook;
    std::size_t layer = 0;
    HiddenRole role = HiddenRole::up;  // gate: before the neurons are signed; up: with their signs
};
// Nothing where the hook is not on MLP neurons.
std::optional<NeuronSpace> neuronSpace(const std::string& hook);

// The hook outside the residual stream that an object names: its configuration, or a list itself.
std::optional<std::string> otherHookOf(const ObjectPath& object, const TransportOptions& options);

// How channels at that hook move. Throws Error(unsupported) where the gauge has no such layer, or scales its neurons.
Gauge neuronGauge(const HiddenGauge& hidden, const NeuronSpace& space, const std::string& where);

}  // namespace regauge

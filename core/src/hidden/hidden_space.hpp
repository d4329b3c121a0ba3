// Objects that live inside a layer: at one hook, in the places and signs of its MLP neurons or of its heads' channels.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "hidden/roles.hpp"
#include "regauge/gauge.hpp"
#include "regauge/transport.hpp"
#include "transport/object_files.hpp"

namespace regauge {

struct HiddenSpace {
    std::string hook;
    std::size_t layer = 0;
    HiddenRole role = HiddenRole::up;  // gate: neurons before they are signed; up: with their signs; output: what heads
                                       // put out [heads, headDim]; query; key and value [kvHeads, headDim]
    // "neurons of layer 3".
    std::string units() const;
};
// Nothing where the hook is in no such place.
std::optional<HiddenSpace> hiddenSpace(const std::string& hook);

// The hook outside the residual stream that an object names: its configuration, or a list itself.
std::optional<std::string> otherHookOf(const ObjectPath& object, const TransportOptions& options);

// How channels at that hook move, heads one after the other. Throws Error(unsupported) where the gauge has no such
// layer, scales its neurons, or mixes the channels of its heads.
Gauge spaceGauge(const HiddenGauge& hidden, const HiddenSpace& space, const std::string& where);

}  // namespace regauge

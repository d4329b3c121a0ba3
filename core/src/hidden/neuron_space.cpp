#include "hidden/neuron_space.hpp"

#include <algorithm>

#include "recipes/name_pattern.hpp"
#include "recipes/recipe_table.hpp"
#include "recipes/stream_roles.hpp"
#include "regauge/error.hpp"
#include "transport/channel_list.hpp"

namespace regauge {

std::optional<NeuronSpace> neuronSpace(const std::string& hook) {
    const std::string own = ownName(hook);
    for (const auto& [pattern, role] : neuronHooks()) {
        if (!matchName(pattern, own)) continue;
        const std::size_t digits = pattern.find("{l}");
        constexpr std::size_t most = 9;  // digits of a layer's number
        const std::size_t end = own.find_first_not_of("0123456789", digits);
        if (end - digits > most) return std::nullopt;
        return NeuronSpace{hook, static_cast<std::size_t>(std::stoul(own.substr(digits, end - digits))), role};
    }
    return std::nullopt;
}

std::optional<std::string> otherHookOf(const ObjectPath& object, const TransportOptions& options) {
    if (const auto list = openChannelList(object, options, 0))
        for (const auto& [key, value] : list->places)
            if (key == "hook" && otherSpace(value)) return value;
    for (const Recipe& recipe : recipes())
        for (const std::string& key : recipe.hooks)
            if (const auto hook = object.config(recipe.config).text(key); hook && otherSpace(*hook)) return hook;
    return std::nullopt;
}

Gauge neuronGauge(const HiddenGauge& hidden, const NeuronSpace& space, const std::string& where) {
    if (space.layer >= hidden.layers().size())
        throw Error(ErrorCode::unsupported, where,
                    "lives at '" + space.hook + "', and the gauge's hidden part has " +
                        std::to_string(hidden.layers().size()) + " layers, counted from 0");
    const HiddenLayer& layer = hidden.layers()[space.layer];
    if (space.role == HiddenRole::gate) return Gauge(layer.neurons, std::vector<std::int8_t>(layer.neurons.size(), 1));
    if (std::ranges::any_of(layer.neuronScale, [](float scale) { return scale != 1; }))
        throw Error(ErrorCode::unsupported, where,
                    "lives at '" + space.hook + "', and the gauge scales neurons of layer " +
                        std::to_string(space.layer) +
                        " (neuron_scale), which objects on neurons do not follow: they change places and signs alone");
    return Gauge(layer.neurons, layer.neuronSign);
}

}  // namespace regauge

#include "hidden/model_shape.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>

#include "regauge/error.hpp"

namespace regauge {

void requireShape(const HiddenGauge& hidden, const ObjectPath& object) {
    const HiddenShape& shape = hidden.shape();
    const Config& config = object.config("config.json");
    const auto said = [&](const std::string& key) { return config.number("text_config." + key + "|" + key); };
    const auto require = [&](std::optional<std::uint64_t> count, std::size_t expected, const std::string& what) {
        if (count && *count != expected)
            throw Error(ErrorCode::dimensionMismatch, object.pathOf("config.json"),
                        "is of a model with " + std::to_string(*count) + " " + what +
                            ", and the gauge's hidden part is of one with " + std::to_string(expected) +
                            "; make the gauge from this model (align --hidden)");
    };
    const auto heads = said("num_attention_heads"), kvHeads = said("num_key_value_heads");
    require(said("num_hidden_layers"), shape.layers, "layers");
    require(heads, shape.heads, "heads");
    require(kvHeads ? kvHeads : heads, shape.kvHeads, "key-value heads");
    if (shape.headDim != 0) require(said("head_dim"), shape.headDim, "channels in a head");
    // Planes count where something moves in them.
    const bool turns = std::ranges::any_of(
        hidden.layers(), [](const HiddenLayer& layer) { return !layer.turn.empty() || !layer.freeKeys.empty(); });
    if (!turns || !heads) return;
    const auto share = config.text(
        "text_config.partial_rotary_factor|partial_rotary_factor|text_config.rope_parameters.partial_rotary_factor|"
        "rope_parameters.partial_rotary_factor");
    const double turned = share ? std::strtod(share->c_str(), nullptr) : 1;
    if (turned >= 0 && turned <= 1)
        require(static_cast<std::uint64_t>(static_cast<double>(shape.headDim) * turned) / 2, shape.pairs,
                "RoPE planes in a head");
}

}  // namespace regauge

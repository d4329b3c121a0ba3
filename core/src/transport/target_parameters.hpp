// LoRA on a parameter by itself (PEFT's target_parameters): fused experts, whose names do not say which one is meant.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "recipes/config.hpp"
#include "recipes/recipe_table.hpp"

namespace regauge {

// How the axis that a LoRA's A reads and the one that its B writes move: words of a rule (TensorRule::shape).
struct TargetAxes {
    std::string in, out;
    std::string permutationOnly;  // why, where every family that has the parameter subtracts means
};

class TargetParameters {
public:
    // adapter: the adapter_config.json. family: the table of the model that the adapter is of, where it is known.
    TargetParameters(const Config& adapter, const Recipe* family);

    // The module of a LoRA, "layers.0.mlp.experts.base_layer". PEFT (0.21: tuners_utils.py, _inject_parameters) wraps a
    // module once for each of its parameters that is named, in the order in which they are registered: the outermost
    // wrapper is the last one's, and each "base_layer" goes one back. A [r E, in] and B [out, r E] are of the axes by
    // position: in is the last axis and out the one before, the other way round where transformers says that the
    // experts are transposed (lora/layer.py, ParamWrapper).
    // Nothing where none of the module's parameters is named. Throws Error: unknownTensor (no table has the
    // parameters), ambiguous (tables disagree).
    std::optional<TargetAxes> of(std::string_view module, const std::string& where) const;

private:
    std::vector<std::string> targets_;  // without the model's prefixes
    const Recipe* family_;
};

}  // namespace regauge

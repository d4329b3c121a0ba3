// Recipes: which axis of which tensor is odd, even or untouched. Model families and object kinds are data
// (core/recipes/*.json, compiled in).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/gauge.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

// What happens to one axis of one tensor.
struct AxisMove {
    Action action = Action::copy;
    std::size_t axis = 0;
    std::size_t blocks = 1;  // of d each, one after the other, along the axis
};

// How one tensor moves and why, as `inspect` and `--dry-run` print it. moves is empty for a tensor that is copied.
struct TensorMove {
    TensorInfo tensor;
    std::vector<AxisMove> moves;
    std::string why;  // "reads the residual stream"
};

// Every tensor of an object, and the kind that it was recognised as.
struct Plan {
    std::string kind;         // "saelens", "vector", "activations", "llama", ...
    std::string description;  // "SAELens SAE, topk, 512 latents, hook blocks.1.hook_resid_post"
    std::size_t d = 0;
    std::vector<TensorMove> moves;
    std::vector<std::string> unknown;  // tensors that no rule names: transport refuses them
    bool permutationOnly = false;      // signs are not a symmetry here (a mean is subtracted)
    std::string permutationOnlyReason;
};

// A kind of object that regauge knows: what --kind takes, and its title for people.
struct KindInfo {
    std::string kind;
    std::string title;
};
std::vector<KindInfo> kinds();

}  // namespace regauge

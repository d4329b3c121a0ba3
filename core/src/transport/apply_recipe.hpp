// A recipe applied to the tensors that are there: which axis of which tensor moves.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "recipes/config.hpp"
#include "recipes/recipe_table.hpp"
#include "regauge/error.hpp"
#include "regauge/recipe.hpp"
#include "transport/object_files.hpp"

namespace regauge {

// What the lengths turned out to be.
struct Sizes {
    std::vector<std::pair<std::string, std::uint64_t>> bound;  // "d", "F", ...
    std::uint64_t of(const std::string& symbol) const;         // 0 where it is not known
};

struct Applied {
    std::vector<TensorMove> moves;
    std::vector<std::string> unknown;
    Sizes sizes;
    std::string permutationOnly;  // why, where the parameters that the object is about are of LayerNorm models only
    std::string unsignedWhy;      // why not even one sign for all channels is a symmetry; empty where it may be
    std::optional<Error> blocks;  // the first tensor in quantised blocks along an axis that would move
};

// Every tensor of the members by the recipe's rules. Tensors that no rule names are in `unknown` and, without moves, in
// `moves`.
// d: the gauge's width, or 0 where there is none yet; then the object's own lengths must agree on one.
// Throws Error: dimensionMismatch (an axis that must be d), shapeMismatch, malformed (a required tensor is not there),
// unsupported (quantised in a way that regauge does not read).
// family: the table of the model that the object is about, where it is said.
// adapter: the adapter_config.json of an adapter, or of the one that an optimizer's state is of.
Applied applyRecipe(const Recipe& recipe, const std::vector<Member>& members, const Config& config, std::size_t d,
                    const Recipe* family = nullptr, const Config& adapter = {});

// How a model's parameter moves.
struct Parameter {
    const TensorRule* rule = nullptr;  // nullptr where no family knows it
    bool transposed = false;           // stored [in, out]
    std::string permutationOnly;       // why, where every family that has it subtracts means
};
// By the family's table where it has the parameter, else by those of all model families. Throws Error(ambiguous) where
// they disagree.
Parameter parameterRule(std::string_view name, std::size_t axes, const Recipe* family = nullptr);

}  // namespace regauge

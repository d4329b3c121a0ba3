// What an object's model leaves free, written into its plan.
#pragma once

#include <optional>
#include <string>

#include "recipes/symmetry.hpp"
#include "regauge/recipe.hpp"

namespace regauge {

// A model with LayerNorm makes the plan one of permutations; a model that is not said, or not known, is a word in the
// description. where: the object, for messages. Throws Error(unsupported) where the model leaves no gauge free.
void addSymmetry(Plan& plan, const std::optional<NamedModel>& model, const std::string& where);

}  // namespace regauge

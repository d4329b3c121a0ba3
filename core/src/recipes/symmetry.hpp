// Which symmetry a model has, told by its name where it stands in an object (core/recipes/symmetry.json).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "recipes/config.hpp"

namespace regauge {

struct Recipe;

// One rule: the models that it is about and what their residual stream leaves free.
struct ModelSymmetry {
    std::string title;               // "GPT-2"
    std::vector<std::string> types;  // model_type and general.architecture
    std::vector<std::string> names;  // patterns (name_pattern.hpp) of words of a published name
    std::string permutationOnly;     // why single signs are none of it; empty where they are
    std::string refuse;              // why nothing is; empty where something is
};

// symmetry.json, in its order: the first rule that fits counts.
struct Symmetries {
    std::vector<std::string> keys;       // where a model's name stands in a configuration, the surest first
    std::vector<std::string> notModels;  // values there that name no model
    std::vector<ModelSymmetry> models;
};

// A model's name as an object gives it, and what is known of it.
struct NamedModel {
    std::string key, name;                 // "base_model_name_or_path", "openai-community/gpt2"
    const ModelSymmetry* known = nullptr;  // nullptr where no rule knows the name; then the family's table says it
    const Recipe* family = nullptr;        // the table of its checkpoints, where there is one
};

// The first name in the configurations that a rule or a table knows, else the first; nothing where none is said.
std::optional<NamedModel> namedModel(const std::vector<const Config*>& configs);

// The rule for a model_type, a module of transformers, a published name or a path to a folder called so; or nullptr.
const ModelSymmetry* symmetryOf(std::string_view name);

}  // namespace regauge

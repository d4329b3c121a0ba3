// The recipe files as they were compiled in (cmake/EmbedRecipes.cmake writes the source).
#pragma once

#include <span>
#include <string_view>

namespace regauge {

struct EmbeddedRecipe {
    std::string_view path;  // below core/recipes, for messages
    std::string_view json;
};

// Sorted by path.
std::span<const EmbeddedRecipe> embeddedRecipes();

}  // namespace regauge

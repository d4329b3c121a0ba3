#include "recipes/stream_roles.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "recipes/name_pattern.hpp"
#include "recipes/recipe_table.hpp"

namespace regauge {
namespace {

std::optional<StreamRole> roleOf(const TensorRule& rule) {
    const bool table = rule.shape == std::vector<std::string>{"vocabulary", "odd"};
    if (table) return rule.required ? StreamRole::embedding : StreamRole::unembedding;  // tied models have no head
    if (!rule.required) return std::nullopt;
    if (rule.shape == std::vector<std::string>{"even"}) return StreamRole::gains;
    if (rule.shape == std::vector<std::string>{"*", "odd"}) return StreamRole::reads;
    if (rule.shape == std::vector<std::string>{"odd", "*"}) return StreamRole::writes;
    return std::nullopt;
}

using Roles = std::vector<std::pair<std::string, StreamRole>>;  // by pattern, each once

Roles collectRoles() {
    Roles roles;
    for (const Recipe& recipe : recipes()) {
        if (!recipe.model) continue;
        for (const TensorRule& rule : recipe.tensors)
            if (const auto role = roleOf(rule))
                if (std::ranges::find(roles, rule.name, &Roles::value_type::first) == roles.end())
                    roles.emplace_back(rule.name, *role);
    }
    return roles;
}

}  // namespace

std::optional<StreamRole> streamRole(std::string_view ownName) {
    static const Roles roles = collectRoles();
    for (const auto& [pattern, role] : roles)
        if (matchName(pattern, ownName)) return role;
    return std::nullopt;
}

bool ofOtherStream(std::string_view name) {
    const auto fits = [&](const std::string& pattern) { return matchName(pattern, name).has_value(); };
    return std::ranges::any_of(sharedRules().otherStreams, fits);
}

std::optional<std::string> otherSpace(std::string_view hook) {
    const std::string own = ownName(hook);  // "model.language_model.layers.7" is layers.7 of the language model
    for (const auto& [pattern, what] : sharedRules().otherHooks)
        if (matchName(pattern, hook) || matchName(pattern, own)) return what;
    return std::nullopt;
}

}  // namespace regauge

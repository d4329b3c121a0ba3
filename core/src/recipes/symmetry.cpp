#include "recipes/symmetry.hpp"

#include <algorithm>

#include "recipes/name_pattern.hpp"
#include "recipes/recipe_table.hpp"

namespace regauge {
namespace {

// "OLMo-2_1124.7B" -> "olmo-2-1124-7b"
std::string words(std::string_view text) {
    std::string found;
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (letter)
            found += c;
        else if (c >= 'A' && c <= 'Z')
            found += static_cast<char>(c - 'A' + 'a');
        else if (!found.empty() && found.back() != '-')
            found += '-';
    }
    if (!found.empty() && found.back() == '-') found.pop_back();
    return found;
}

// The parts of a path or of a hub's name, the last one first: "models--openai-community--gpt2" has three.
std::vector<std::string> partsOf(std::string_view name) {
    std::vector<std::string> parts;
    while (!name.empty()) {
        const std::size_t cut = std::min({name.find('/'), name.find('\\'), name.find("--")});
        parts.insert(parts.begin(), words(name.substr(0, cut)));
        name = cut == std::string_view::npos ? std::string_view() : name.substr(cut + 1);
    }
    return parts;
}

// "transformers.models.gpt_neox.modeling_gpt_neox" -> "gpt_neox", where PEFT found the model's class.
std::string_view typeIn(std::string_view name) {
    constexpr std::string_view module = "transformers.models.";
    if (!name.starts_with(module)) return name;
    name.remove_prefix(module.size());
    return name.substr(0, name.find('.'));
}

const ModelSymmetry* ofType(std::string_view type) {
    for (const ModelSymmetry& model : sharedRules().symmetries.models)
        if (std::any_of(model.types.begin(), model.types.end(),
                        [&](const std::string& one) { return words(one) == words(type); }))
            return &model;
    return nullptr;
}

// The table of the checkpoints with this model_type.
const Recipe* familyOfType(std::string_view type) {
    for (const Recipe& recipe : recipes()) {
        if (!recipe.model || !recipe.refuse.empty()) continue;
        const std::vector<std::string>& types = recipe.when.front().is;
        if (std::any_of(types.begin(), types.end(), [&](const auto& one) { return words(one) == words(type); }))
            return &recipe;
    }
    return nullptr;
}

}  // namespace

const ModelSymmetry* symmetryOf(std::string_view name) {
    const std::vector<std::string> parts = partsOf(typeIn(name));
    if (parts.size() == 1)
        if (const ModelSymmetry* model = ofType(parts.front())) return model;
    for (const std::string& part : parts)
        for (const ModelSymmetry& model : sharedRules().symmetries.models)
            for (const std::string& pattern : model.names)
                if (matchName("{any}-" + pattern + "-{any}", "-" + part + "-")) return &model;
    return nullptr;
}

std::optional<NamedModel> namedModel(const std::vector<const Config*>& configs) {
    std::optional<NamedModel> first;
    const Symmetries& symmetries = sharedRules().symmetries;
    for (const std::string& key : symmetries.keys)
        for (const Config* config : configs) {
            const auto name = config->text(key);
            if (!name || name->empty() || *name == "{}" || *name == "[]" ||
                std::find(symmetries.notModels.begin(), symmetries.notModels.end(), *name) !=
                    symmetries.notModels.end())
                continue;
            NamedModel model{key, *name, symmetryOf(*name), familyOfType(typeIn(*name))};
            if (!model.family && model.known && !model.known->types.empty())
                model.family = familyOfType(model.known->types.front());
            if (model.known || model.family) return model;
            if (!first) first = std::move(model);
        }
    return first;
}

}  // namespace regauge

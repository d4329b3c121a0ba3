#include "recipes/recipe_table.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "recipes/embedded.hpp"
#include "recipes/name_pattern.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

using Json = nlohmann::json;
using Strings = std::vector<std::string>;

// A key that nothing reads is a slip of the pen: every reader names what it knows.
void onlyKeys(const Json& json, const Strings& known) {
    for (const auto& [key, value] : json.items())
        if (std::find(known.begin(), known.end(), key) == known.end()) throw std::runtime_error("unknown key '" + key + "'");
}

Strings strings(const Json& json, const char* key) {
    return json.contains(key) ? json.at(key).get<Strings>() : Strings();
}

std::vector<std::pair<std::string, std::string>> pairs(const Json& json, const char* key) {
    std::vector<std::pair<std::string, std::string>> found;
    if (json.contains(key))
        for (const auto& [name, value] : json.at(key).items()) found.emplace_back(name, value.get<std::string>());
    return found;
}

ConfigRule configRule(const Json& json) {
    onlyKeys(json, {"key", "is", "why"});
    return {json.at("key"), strings(json, "is"), !json.contains("is"), json.value("why", "")};
}

std::vector<ConfigRule> configRules(const Json& json, const char* key) {
    std::vector<ConfigRule> rules;
    if (json.contains(key))
        for (const Json& rule : json.at(key)) rules.push_back(configRule(rule));
    return rules;
}

TensorRule tensorRule(const Json& json) {
    onlyKeys(json, {"name", "shape", "like", "required", "why"});
    TensorRule rule{json.at("name"), strings(json, "shape"), json.value("like", ""), json.value("required", false), json.at("why")};
    if (rule.like.empty() == !json.contains("shape")) throw std::runtime_error(rule.name + " needs either a shape or a like");
    return rule;
}

Recipe parseRecipe(const EmbeddedRecipe& file, const Json& json) {
    onlyKeys(json, {"kind", "title", "recognise", "files", "also_files", "copy_files", "refuse", "refuse_when", "permutation_only", "known", "hooks",
                    "sizes", "describe", "metadata", "record_in", "about", "model", "tensors", "note"});
    Recipe recipe;
    recipe.path = file.path;
    recipe.kind = json.at("kind");
    recipe.title = json.at("title");
    const Json recognise = json.value("recognise", Json::object());
    onlyKeys(recognise, {"config", "when", "all_tensors", "any_tensor", "formats", "single"});
    recipe.config = recognise.value("config", "");
    recipe.when = configRules(recognise, "when");
    recipe.allTensors = strings(recognise, "all_tensors");
    recipe.anyTensor = strings(recognise, "any_tensor");
    recipe.formats = strings(recognise, "formats");
    recipe.single = recognise.value("single", false);
    recipe.files = strings(json, "files");
    recipe.alsoFiles = strings(json, "also_files");
    recipe.copyFiles = strings(json, "copy_files");
    recipe.refuse = json.value("refuse", "");
    recipe.refuseWhen = configRules(json, "refuse_when");
    recipe.permutationOnly = configRules(json, "permutation_only");
    if (json.contains("known"))
        for (const auto& [key, values] : json.at("known").items()) recipe.known.emplace_back(key, values.get<Strings>());
    recipe.hooks = strings(json, "hooks");
    recipe.sizes = pairs(json, "sizes");
    recipe.describe = strings(json, "describe");
    recipe.metadata = json.value("metadata", true);
    recipe.recordIn = strings(json, "record_in");
    recipe.aboutParameters = json.value("about", "") == "parameters";
    recipe.model = json.value("model", false);
    if (json.contains("tensors"))
        for (const Json& rule : json.at("tensors")) recipe.tensors.push_back(tensorRule(rule));
    return recipe;
}

struct Tables {
    std::vector<Recipe> recipes;
    SharedRules shared;
};

Tables parseAll() {
    Tables tables;
    for (const EmbeddedRecipe& file : embeddedRecipes()) {
        try {
            const Json json = Json::parse(file.json);
            if (file.path == "shared.json") {
                onlyKeys(json, {"residual_hooks", "other_hooks", "quantised", "tensor_file_endings", "model_prefixes", "note"});
                tables.shared = {strings(json, "residual_hooks"), pairs(json, "other_hooks"), pairs(json, "quantised"),
                                 strings(json, "tensor_file_endings"), strings(json, "model_prefixes")};
            } else if (json.is_array()) {
                for (const Json& one : json) tables.recipes.push_back(parseRecipe(file, one));
            } else {
                tables.recipes.push_back(parseRecipe(file, json));
            }
        } catch (const std::exception& error) {
            throw Error(ErrorCode::internal, "core/recipes/" + std::string(file.path), error.what());
        }
    }
    return tables;
}

const Tables& tables() {
    static const Tables parsed = parseAll();
    return parsed;
}

}  // namespace

bool ConfigRule::holds(const Config& config) const {
    if (present) return anyAlternative(key, [&](std::string_view k) { return config.has(k); });
    const auto value = config.text(key);
    return value && std::any_of(is.begin(), is.end(), [&](const std::string& pattern) { return matchName(pattern, *value).has_value(); });
}

int Recipe::certainty() const {
    if (!when.empty()) return 2;
    return allTensors.empty() && anyTensor.empty() ? 0 : 1;
}

const std::vector<Recipe>& recipes() { return tables().recipes; }
const SharedRules& sharedRules() { return tables().shared; }

}  // namespace regauge

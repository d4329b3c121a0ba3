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
        if (std::find(known.begin(), known.end(), key) == known.end())
            throw std::runtime_error("unknown key '" + key + "'");
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
    onlyKeys(json, {"key", "is", "is_not", "why"});
    return {json.at("key"), strings(json, "is"), strings(json, "is_not"),
            !json.contains("is") && !json.contains("is_not"), json.value("why", "")};
}

std::vector<ConfigRule> configRules(const Json& json, const char* key) {
    std::vector<ConfigRule> rules;
    if (json.contains(key))
        for (const Json& rule : json.at(key)) rules.push_back(configRule(rule));
    return rules;
}

TensorRule tensorRule(const Json& json) {
    onlyKeys(json, {"name", "shape", "like", "required", "why", "in_first", "unsigned"});
    TensorRule rule{json.at("name"),        strings(json, "shape"),
                    json.value("like", ""), json.value("required", false),
                    json.at("why"),         json.value("in_first", false)};
    if (rule.like.empty() == !json.contains("shape"))
        throw std::runtime_error(rule.name + " needs either a shape or a like");
    if (const Json reason = json.value("unsigned", Json()); reason.is_string())
        rule.unsignedWhen = ConfigRule{"", {}, {}, false, reason};
    else if (!reason.is_null())
        rule.unsignedWhen = configRule(reason);
    return rule;
}

// What all families of checkpoints have in common; model.files and model.copyFiles come with the shared rules.
void asModel(Recipe& recipe, const Strings& modelTypes) {
    recipe.model = recipe.namesParameters = true;
    recipe.config = "config.json";
    recipe.when.push_back({"model_type", modelTypes, {}, false, ""});
    recipe.sizes.emplace_back("d", "hidden_size|text_config.hidden_size|n_embd|d_model|decoder.hidden_size");
    recipe.describe = {"{model_type}", "d = {d}",
                       "{num_hidden_layers|text_config.num_hidden_layers|n_layer|num_layers|n_layers} layers"};
    recipe.metadata = false;  // transformers refuses a __metadata__ without its own "format"
}

Recipe parseRecipe(const EmbeddedRecipe& file, const Json& json) {
    onlyKeys(json, {"kind",       "title",  "recognise",   "config",          "files",          "also_files",
                    "copy_files", "refuse", "refuse_when", "refuse_paths",    "refuse_tensors", "permutation_only",
                    "known",      "hooks",  "sizes",       "describe",        "metadata",       "record_in",
                    "about",      "model",  "optimizer",   "named_by_folder", "transposed",     "list",
                    "tensors",    "note",   "unordered"});
    Recipe recipe;
    recipe.path = file.path;
    recipe.kind = json.at("kind");
    recipe.title = json.at("title");
    const Json recognise = json.value("recognise", Json::object());
    onlyKeys(recognise, {"config", "when", "header", "all_tensors", "any_tensor", "formats", "single", "asked"});
    recipe.config = recognise.value("config", json.value("config", ""));
    recipe.when = configRules(recognise, "when");
    recipe.header = configRules(recognise, "header");
    recipe.allTensors = strings(recognise, "all_tensors");
    recipe.anyTensor = strings(recognise, "any_tensor");
    recipe.formats = strings(recognise, "formats");
    recipe.single = recognise.value("single", false);
    recipe.asked = recognise.value("asked", false);
    recipe.files = strings(json, "files");
    recipe.alsoFiles = strings(json, "also_files");
    recipe.copyFiles = strings(json, "copy_files");
    recipe.refuse = json.value("refuse", "");
    recipe.refuseWhen = configRules(json, "refuse_when");
    // Either conditions, or the reason alone where it always holds.
    if (json.contains("permutation_only") && json["permutation_only"].is_string())
        recipe.alwaysPermutationOnly = json["permutation_only"];
    else
        recipe.permutationOnly = configRules(json, "permutation_only");
    if (json.contains("known"))
        for (const auto& [key, values] : json.at("known").items())
            recipe.known.emplace_back(key, values.get<Strings>());
    recipe.hooks = strings(json, "hooks");
    recipe.sizes = pairs(json, "sizes");
    recipe.describe = strings(json, "describe");
    recipe.metadata = json.value("metadata", true);
    recipe.recordIn = strings(json, "record_in");
    recipe.aboutParameters = json.value("about", "") == "parameters";
    recipe.namesParameters = json.value("about", "") == "model";
    recipe.refusePaths = strings(json, "refuse_paths");
    recipe.refuseTensors = pairs(json, "refuse_tensors");
    recipe.optimizer = json.value("optimizer", false);
    recipe.namedByFolder = json.value("named_by_folder", false);
    recipe.transposed = json.value("transposed", false);
    recipe.ordered = !json.value("unordered", false);
    if (json.contains("tensors"))
        for (const Json& rule : json.at("tensors")) recipe.tensors.push_back(tensorRule(rule));
    if (json.contains("list")) {
        const Json& list = json.at("list");
        onlyKeys(list, {"index", "odd", "even", "about"});
        recipe.list = {strings(list, "index"), strings(list, "odd"), strings(list, "even"), strings(list, "about")};
    }
    if (json.contains("model")) asModel(recipe, strings(json, "model"));
    return recipe;
}

Symmetries symmetriesIn(const Json& json) {
    onlyKeys(json, {"note", "keys", "not_models", "layernorm", "models"});
    Symmetries found{strings(json, "keys"), strings(json, "not_models"), {}};
    for (const Json& model : json.at("models")) {
        onlyKeys(model, {"title", "types", "names", "layernorm", "permutation_only", "refuse"});
        const std::string reason = model.value("layernorm", false) ? json.at("layernorm").get<std::string>() : "";
        found.models.push_back({model.at("title"), strings(model, "types"), strings(model, "names"),
                                model.value("permutation_only", reason), model.value("refuse", "")});
    }
    return found;
}

struct Tables {
    std::vector<Recipe> recipes;
    SharedRules shared;
};

Tables parseAll() {
    Tables tables;
    Symmetries symmetries;
    for (const EmbeddedRecipe& file : embeddedRecipes()) {
        if (file.path == "hidden.json") continue;  // hidden/roles.cpp reads it
        try {
            const Json json = Json::parse(file.json);
            if (file.path == "symmetry.json") {
                symmetries = symmetriesIn(json);
            } else if (file.path == "shared.json") {
                onlyKeys(json, {"residual_hooks", "other_hooks", "quantised", "tensor_file_endings", "wrappers",
                                "adapter_parts", "other_streams", "projectors", "heads", "model_prefixes",
                                "model_files", "model_copy_files", "note"});
                tables.shared = {strings(json, "residual_hooks"),
                                 pairs(json, "other_hooks"),
                                 pairs(json, "quantised"),
                                 strings(json, "tensor_file_endings"),
                                 strings(json, "wrappers"),
                                 strings(json, "adapter_parts"),
                                 strings(json, "other_streams"),
                                 strings(json, "projectors"),
                                 {},
                                 strings(json, "model_prefixes"),
                                 strings(json, "model_files"),
                                 strings(json, "model_copy_files"),
                                 {}};
                for (const Json& rule : json.at("heads")) tables.shared.heads.push_back(tensorRule(rule));
            } else if (json.is_array()) {
                for (const Json& one : json) tables.recipes.push_back(parseRecipe(file, one));
            } else {
                tables.recipes.push_back(parseRecipe(file, json));
            }
        } catch (const std::exception& error) {
            throw Error(ErrorCode::internal, "core/recipes/" + std::string(file.path), error.what());
        }
    }
    tables.shared.symmetries = std::move(symmetries);
    for (Recipe& recipe : tables.recipes)
        if (recipe.config == "adapter_config.json")
            recipe.copyFiles.insert(recipe.copyFiles.end(), tables.shared.modelCopyFiles.begin(),
                                    tables.shared.modelCopyFiles.end());
        else if (recipe.model) {
            recipe.files = tables.shared.modelFiles;
            recipe.copyFiles = tables.shared.modelCopyFiles;
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
    const auto fits = [&](const std::string& pattern) { return matchName(pattern, *value).has_value(); };
    return value &&
           (is.empty() ? std::none_of(isNot.begin(), isNot.end(), fits) : std::any_of(is.begin(), is.end(), fits));
}

int Recipe::certainty() const {
    if (!when.empty() || !header.empty()) return 2;
    return allTensors.empty() && anyTensor.empty() ? 0 : 1;
}

bool Recipe::requiredNamesFit(const std::vector<std::string_view>& names) const {
    bool some = false;
    std::vector<std::string> own;
    for (const std::string_view name : names) own.push_back(ownName(name));
    for (const TensorRule& rule : tensors) {
        if (!rule.required) continue;
        some = true;
        if (std::none_of(own.begin(), own.end(),
                         [&](const std::string& name) { return matchName(rule.name, name).has_value(); }))
            return false;
    }
    return some;
}

std::string_view withoutModelPrefixes(std::string_view name) {
    for (bool cut = true; cut;) {
        cut = false;
        for (const std::string& prefix : sharedRules().modelPrefixes)
            if (name.starts_with(prefix)) {
                name.remove_prefix(prefix.size());
                cut = true;
            }
    }
    return name;
}

std::string ownName(std::string_view name) {
    std::string own = unwrapped(name);
    own.erase(0, own.size() - withoutModelPrefixes(own).size());
    constexpr std::string_view adapted = ".base_layer.";  // a weight that a PEFT adapter stands beside
    for (std::size_t at; (at = own.find(adapted)) != std::string::npos;) own.replace(at, adapted.size(), ".");
    return own;
}

std::string unwrapped(std::string_view name) {
    const auto among = [](const Strings& words, std::string_view word) {
        return std::find(words.begin(), words.end(), word) != words.end();
    };
    std::string kept;
    std::string_view before;  // the part before, kept or not
    bool whole = false;       // a vector that is a parameter by itself, whose saved name has no ".weight"
    while (!name.empty()) {
        const std::size_t dot = name.find('.');
        const std::string_view part = name.substr(0, dot);
        name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
        const bool isParameter = part == "weight" || part == "bias" || part == "token_adapter";
        const bool adapterName = among(sharedRules().adapterParts, before) && !isParameter;
        const bool dropped = among(sharedRules().wrappers, part) || adapterName || (whole && part == "weight");
        whole = part == "lora_magnitude_vector" || (whole && dropped);
        before = part;
        if (!dropped) kept.append(kept.empty() ? "" : ".").append(part);
    }
    return kept;
}

const std::vector<Recipe>& recipes() { return tables().recipes; }
const SharedRules& sharedRules() { return tables().shared; }

}  // namespace regauge

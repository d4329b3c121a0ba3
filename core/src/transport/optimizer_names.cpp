#include "transport/optimizer_names.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>

#include "recipes/name_pattern.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"

namespace regauge {
namespace {

struct Group {
    std::vector<std::string> ids, names;
};

std::string sentence(const std::string& what) {
    return what +
           "; save the optimizer with named parameters (optimizer.param_groups[i]['param_names']), or put the model's "
           "files and config.json beside it";
}

[[noreturn]] void refuse(const Member& member, const std::string& what) {
    throw Error(ErrorCode::unsupported, member.file.source->name(), sentence(what));
}

// "param_groups.0.params.3" = "3" and "param_groups.0.param_names.3" = "model.norm.weight", in order.
std::vector<Group> groupsOf(const Member& member) {
    std::map<std::size_t, std::map<std::size_t, std::string>> ids, names;
    for (const auto& [key, value] : member.file.metadata) {
        std::size_t group = 0, at = 0;
        if (std::sscanf(key.c_str(), "param_groups.%zu.params.%zu", &group, &at) == 2) ids[group][at] = value;
        if (std::sscanf(key.c_str(), "param_groups.%zu.param_names.%zu", &group, &at) == 2) names[group][at] = value;
    }
    std::vector<Group> groups;
    for (const auto& [group, list] : ids) {
        groups.emplace_back();
        for (const auto& [at, id] : list) groups.back().ids.push_back(id);
        for (const auto& [at, name] : names[group]) groups.back().names.push_back(name);
        if (!groups.back().names.empty() && groups.back().names.size() != groups.back().ids.size())
            refuse(member, "has param_names that do not fit its params");
    }
    return groups;
}

// The Trainer's rule for what is not decayed.
bool isDecayed(const std::string& name) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const char* part : {"bias", "layernorm", "rmsnorm"})
        if (lower.find(part) != std::string::npos) return false;
    const std::string between = "." + lower + ".";
    return between.find(".norm.") == std::string::npos && between.find("_norm.") == std::string::npos;
}

struct Parameter {
    std::string name;
    Shape shape;
};

// The place of a name in the order in which the family's modules register their parameters, which is the order of its
// table:
// what comes before the layers, then layer by layer, then what comes after. Nothing where the table does not name it.
std::optional<std::tuple<int, unsigned long, std::size_t>> placeOfName(const Recipe& family, std::string_view name) {
    if (!family.ordered) return std::nullopt;
    const std::string_view own = withoutModelPrefixes(name);
    int section = 0;
    for (std::size_t rule = 0; rule < family.tensors.size(); ++rule) {
        const std::string& pattern = family.tensors[rule].name;
        const std::size_t layer = pattern.find("{l}");
        if (layer != std::string::npos) section = 1;
        if (layer == std::string::npos && section == 1) section = 2;
        if (!matchName(pattern, own)) continue;
        if (pattern.find("{e}") != std::string::npos || pattern.find("{any}") != std::string::npos)
            return std::nullopt;  // experts have an order of their own
        if (layer == std::string::npos) return std::tuple(section, 0UL, rule);
        return std::tuple(1, std::stoul(std::string(own.substr(layer, 9))), rule);
    }
    const std::vector<TensorRule>& heads = sharedRules().heads;
    for (std::size_t head = 0; head < heads.size(); ++head)
        if (matchName(heads[head].name, own)) return std::tuple(3, 0UL, head);
    return std::nullopt;
}

const Recipe* familyOf(const std::vector<Parameter>& parameters, const Config& config) {
    std::vector<std::string_view> names;
    for (const Parameter& parameter : parameters) names.push_back(parameter.name);
    for (const Recipe& recipe : recipes()) {
        if (!recipe.model || !recipe.refuse.empty()) continue;
        const bool configured = std::all_of(recipe.when.begin(), recipe.when.end(),
                                            [&](const ConfigRule& rule) { return rule.holds(config); });
        if (config.has("model_type") ? configured : recipe.ordered && recipe.requiredNamesFit(names)) return &recipe;
    }
    return nullptr;
}

// The parameters of the adapter in the same folder, in the order in which PEFT registers them: module by module as the
// model has them, and in each module A before B.
std::vector<Parameter> adapterParameters(const Member& member, const ObjectPath& object) {
    constexpr std::string_view parts[] = {"lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B",
                                          "lora_magnitude_vector"};
    const auto partOf = [&](const std::string& name) -> std::pair<std::string, std::size_t> {
        for (std::size_t part = 0; part < std::size(parts); ++part)
            if (const std::size_t at = name.find("." + std::string(parts[part])); at != std::string::npos)
                return {name.substr(0, at) + ".weight", part};
        return {name, 0};
    };
    std::string file;
    for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"})
        if (file.empty() && object.has(name)) file = name;
    if (file.empty())
        refuse(member, "numbers its parameters, and the adapter beside it has no adapter_model.safetensors");
    std::vector<Parameter> parameters;
    const TensorFile adapter = openTensorFile(object.open(file));
    for (const StoredTensor& tensor : adapter.tensors)
        parameters.push_back({unwrapped(tensor.info.name), tensor.info.shape});
    using Placed = std::pair<std::pair<std::tuple<int, unsigned long, std::size_t>, std::size_t>, std::size_t>;
    std::vector<std::size_t> order;
    for (const Recipe& family : recipes()) {  // every family that has all the modules must give the same order
        if (!family.model || !family.refuse.empty()) continue;
        std::vector<Placed> placed;
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            const auto [module, part] = partOf(parameters[i].name);
            if (const auto place = placeOfName(family, module)) placed.push_back({{*place, part}, i});
        }
        if (placed.size() != parameters.size()) continue;
        std::sort(placed.begin(), placed.end());
        std::vector<std::size_t> own;
        for (const auto& [place, i] : placed) own.push_back(i);
        if (!order.empty() && own != order)
            refuse(member,
                   "numbers its parameters, and model families that have the adapter's modules order them differently");
        order = own;
    }
    if (order.empty())
        refuse(member,
               "numbers its parameters, and the adapter beside it is about modules of no family that regauge knows");
    std::vector<Parameter> ordered;
    for (const std::size_t i : order) ordered.push_back(parameters[i]);
    return ordered;
}

// The model's parameters in the order of its modules.
std::vector<Parameter> parametersBeside(const Member& member, const ObjectPath& object) {
    const Files& files = object.files();
    const std::string folder = object.isFolder() ? object.path() : folderOf(object.path());
    std::string model;
    const std::string stem = fileNameOf(object.path()).substr(0, fileNameOf(object.path()).rfind('.'));
    for (const std::string& name : sharedRules().modelFiles)
        if (model.empty() && object.has(name)) model = name;
    if (model.empty() && object.has(stem + "_model.pt")) model = stem + "_model.pt";
    if (model.empty() && object.has("adapter_config.json")) return adapterParameters(member, object);
    if (model.empty()) refuse(member, "numbers its parameters, and no model lies beside it to tell which they are");

    const Config& config = object.config("config.json");
    const bool tied = config.text("tie_word_embeddings|text_config.tie_word_embeddings").value_or("false") == "true";
    std::vector<Parameter> parameters;
    for (const TensorFile& shard : openCheckpointFiles(files, joinPath(folder, model)).shards)
        for (const StoredTensor& tensor : shard.tensors)
            if (!(tied && withoutModelPrefixes(tensor.info.name) == "lm_head.weight"))
                parameters.push_back({tensor.info.name, tensor.info.shape});
    const Recipe* family = familyOf(parameters, config);
    if (!family) refuse(member, "numbers its parameters, and the model beside it is of no family that regauge knows");
    if (!family->ordered)
        refuse(member, "numbers its parameters, and regauge does not know the order in which they are registered in " +
                           family->title);
    std::vector<std::pair<std::tuple<int, unsigned long, std::size_t>, Parameter>> placed;
    for (Parameter& parameter : parameters) {
        const auto place = placeOfName(*family, parameter.name);
        if (!place)
            refuse(member, "numbers its parameters, and their order cannot be told: " + parameter.name +
                               " is not in the table of " + family->title);
        placed.emplace_back(*place, std::move(parameter));
    }
    std::sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    parameters.clear();
    for (auto& [place, parameter] : placed) parameters.push_back(std::move(parameter));
    return parameters;
}

std::map<std::string, Parameter> numberedFrom(const Member& member, const std::vector<Group>& groups,
                                              const std::vector<Parameter>& parameters) {
    std::vector<Parameter> ordered;
    if (groups.size() == 1) {
        ordered = parameters;
    } else if (groups.size() == 2) {
        for (const bool decayed : {true, false}) {
            const std::size_t before = ordered.size();
            std::copy_if(parameters.begin(), parameters.end(), std::back_inserter(ordered),
                         [&](const Parameter& one) { return isDecayed(one.name) == decayed; });
            const std::size_t expected = ordered.size() - before, found = groups[decayed ? 0 : 1].ids.size();
            if (expected != found)
                refuse(member, "has " + std::to_string(found) + " parameters in group " + (decayed ? "0" : "1") +
                                   " where the model has " + std::to_string(expected) +
                                   (decayed ? " decayed" : " not decayed"));
        }
    } else {
        refuse(member,
               "has " + std::to_string(groups.size()) + " parameter groups, which is not how the Trainer groups them");
    }
    std::map<std::string, Parameter> numbered;
    std::size_t next = 0;
    for (const Group& group : groups)
        for (const std::string& id : group.ids)
            if (next < ordered.size()) numbered[id] = ordered[next++];
    if (next != ordered.size() || numbered.size() != ordered.size())
        refuse(member, "has " + std::to_string(numbered.size()) + " parameters, and the model has " +
                           std::to_string(ordered.size()));
    return numbered;
}

// Whether state of this shape can be kept for such a parameter: as long, one of Adafactor's factors, or two stacked.
bool isOf(const Shape& state, const Shape& parameter) {
    if (state.empty() || parameter.empty() || state == parameter) return true;
    Shape rows = parameter, columns = parameter, stacked = parameter, rowMeans = parameter, columnMeans = parameter;
    stacked.insert(stacked.begin(), 2);
    rows.pop_back();
    rowMeans.back() = 1;
    if (parameter.size() >= 2) {
        columns.erase(columns.end() - 2);
        columnMeans[columnMeans.size() - 2] = 1;
    }
    const bool one = state == Shape{1};  // an empty factor, as Adafactor keeps for the other form
    return one || state == rows || state == columns || state == stacked || state == rowMeans || state == columnMeans;
}

}  // namespace

void nameParameters(Member& member, const ObjectPath& object) {
    const bool numbers = std::any_of(member.names.begin(), member.names.end(), [](const std::string& name) {
        return matchName("state.{l}.{word}", name).has_value();
    });
    if (!numbers) return;
    const std::vector<Group> groups = groupsOf(member);
    if (groups.empty()) refuse(member, "numbers its parameters and has no param_groups");
    std::map<std::string, Parameter> numbered;
    if (std::all_of(groups.begin(), groups.end(), [](const Group& group) { return !group.names.empty(); })) {
        for (const Group& group : groups)
            for (std::size_t i = 0; i < group.ids.size(); ++i) numbered[group.ids[i]] = {group.names[i], {}};
    } else {
        numbered = numberedFrom(member, groups, parametersBeside(member, object));
    }
    member.parameters.assign(member.names.size(), "");
    for (std::size_t i = 0; i < member.names.size(); ++i) {
        if (!matchName("state.{l}.{word}", member.names[i])) continue;
        const std::size_t dot = member.names[i].find('.', 6);
        const std::string id = member.names[i].substr(6, dot - 6);
        const auto at = numbered.find(id);
        if (at == numbered.end()) refuse(member, "has state of a parameter number " + id + " that no group names");
        const Shape& shape = member.file.tensors[i].info.shape;
        if (!isOf(shape, at->second.shape))
            refuse(member, "has " + member.names[i] + " of shape " + toString(shape) + " where the model's " +
                               at->second.name + " has " + toString(at->second.shape));
        member.names[i] = "state." + unwrapped(at->second.name) + member.names[i].substr(dot);
        member.parameters[i] = at->second.name;
    }
}

}  // namespace regauge

#include "transport/target_parameters.hpp"

#include <algorithm>
#include <tuple>

#include "recipes/name_pattern.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::string_view wrapper = ".base_layer";

// What comes in leaves later: modules register gate_up_proj (or up_proj), its bias, down_proj and its bias.
bool registeredBefore(const std::string& a, const std::string& b) {
    const auto order = [](const std::string& name) {
        return std::tuple(name.starts_with("down"), name.ends_with("_bias"), name);
    };
    return order(a) < order(b);
}

// The rules of one table for those parameters of a module that have two axes or more.
std::vector<const TensorRule*> rulesIn(const Recipe& table, const std::string& module,
                                       const std::vector<std::string>& names) {
    std::vector<const TensorRule*> found;
    for (const std::string& name : names) {
        const auto rule = std::find_if(table.tensors.begin(), table.tensors.end(), [&](const TensorRule& one) {
            return one.shape.size() >= 2 && one.shape.front() != "..." && matchName(one.name, module + "." + name);
        });
        if (rule != table.tensors.end()) found.push_back(&*rule);
    }
    return found;
}

TargetAxes axesOf(const TensorRule& rule, const std::string& permutationOnly) {
    const auto moved = [](const std::string& word) { return word.starts_with("odd") ? word : std::string("*"); };
    const std::string last = moved(rule.shape.back()), before = moved(rule.shape[rule.shape.size() - 2]);
    return rule.inFirst ? TargetAxes{before, last, permutationOnly} : TargetAxes{last, before, permutationOnly};
}

}  // namespace

TargetParameters::TargetParameters(const Config& adapter, const Recipe* family) : family_(family) {
    for (const auto& [key, target] : adapter.below("target_parameters."))
        targets_.emplace_back(withoutModelPrefixes(target));
}

std::optional<TargetAxes> TargetParameters::of(std::string_view module, const std::string& where) const {
    std::size_t depth = 0;
    for (; module.ends_with(wrapper); ++depth) module.remove_suffix(wrapper.size());
    const std::string bare(module);
    std::vector<std::string> names;
    for (const std::string& target : targets_) {
        const std::string name = target.substr(target.rfind('.') + 1);  // all of it where there is no dot
        const bool fits = ("." + bare + "." + name).ends_with("." + target);
        if (fits && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    if (names.empty()) return std::nullopt;
    std::sort(names.begin(), names.end(), registeredBefore);
    std::optional<TargetAxes> axes;
    const bool familyHas = family_ && rulesIn(*family_, bare, names).size() > depth;
    for (const Recipe& table : recipes()) {
        if (!table.namesParameters || (familyHas && &table != family_)) continue;
        const std::vector<const TensorRule*> rules = rulesIn(table, bare, names);
        if (rules.size() <= depth) continue;
        const TargetAxes here = axesOf(*rules[rules.size() - 1 - depth], table.alwaysPermutationOnly);
        if (axes && (axes->in != here.in || axes->out != here.out))
            throw Error(ErrorCode::ambiguous, where,
                        "is about a parameter of '" + bare +
                            "', which moves differently in different model families, and adapter_config.json does not "
                            "say which this is; write the model's name into its base_model_name_or_path");
        if (!axes || axes->permutationOnly.empty() || here.permutationOnly.empty())
            axes = here;  // signs are free where one family lets them be
    }
    if (!axes)
        throw Error(ErrorCode::unknownTensor, where,
                    "is about a parameter of '" + bare +
                        "' (target_parameters of its adapter_config.json) that no model family of regauge has");
    return axes;
}

}  // namespace regauge

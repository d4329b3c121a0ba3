#include "hidden/parts.hpp"

#include <algorithm>
#include <utility>

#include "recipes/name_pattern.hpp"
#include "recipes/recipe_table.hpp"
#include "recipes/stream_roles.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// By a tensor's own name: weights and biases of the layout's modules, and the factors of their LoRA adapters. The bias
// of what writes the stream, and the factor on the stream's side, have none.
std::map<std::string, HiddenPart, std::less<>> partsOf(const HiddenLayout& layout, const HiddenShape& shape) {
    constexpr std::size_t noAxis = HiddenPart::noAxis;
    std::map<std::string, HiddenPart, std::less<>> parts;
    for (std::size_t layer = 0; layer < shape.layers; ++layer) {
        for (const HiddenRole role : hiddenRoles) {
            const std::string module = layout.module(role, layer);
            const std::vector<HiddenRole> roles = layout.together(role);
            const bool last = sumsOverHidden(role);
            parts[module + ".weight"] = {roles, layer, last ? std::size_t{1} : std::size_t{0}};
            parts[module + ".bias"] = parts[module + ".lora_B.weight"] =
                parts[module + ".lora_B.bias"] = {roles, layer, last ? noAxis : 0};
            parts[module + ".lora_A.weight"] = {roles, layer, last ? 1 : noAxis};
        }
        for (const auto& [norm, role] :
             {std::pair(layout.queryNorm, HiddenRole::query), std::pair(layout.keyNorm, HiddenRole::key)})
            if (!norm.empty()) parts[inLayer(norm, layer) + ".weight"] = {{role}, layer, 0, true};
    }
    return parts;
}

}  // namespace

HiddenParts::HiddenParts(const HiddenGauge& hidden) : hidden_(hidden) {
    for (const HiddenLayout& layout : hiddenLayouts()) {
        parts_.merge(partsOf(layout, hidden.shape()));
        for (const std::string& module : layout.modules) modules_.push_back(module + "{any}");
    }
}

const HiddenPart* HiddenParts::find(std::string_view name) const {
    if (ofOtherStream(name)) return nullptr;
    const auto part = parts_.find(ownName(name));
    return part == parts_.end() ? nullptr : &part->second;
}

bool HiddenParts::isHidden(std::string_view name) const {
    if (ofOtherStream(name)) return false;
    const std::string own = ownName(name);
    return std::ranges::any_of(modules_, [&](const auto& pattern) { return matchName(pattern, own).has_value(); }) ||
           matchName("blk.{l}.attn_{any}", name) || matchName("blk.{l}.ffn_{any}", name);
}

std::optional<UnitMap> HiddenParts::mapOf(const HiddenPart& part, const Shape& shape, const std::string& where) const {
    if (part.axis == HiddenPart::noAxis) return std::nullopt;
    UnitMap map = unitMap(hidden_.shape(), hidden_.layers()[part.layer], part.roles);
    if (part.gains) {
        if (shape == Shape{hidden_.shape().headDim}) return std::nullopt;  // one norm for every head
        map = {map.unit, map.from, {}, {}, 1};
    }
    if (map.isIdentity()) return std::nullopt;
    if (map.unit == 0 && part.gains)
        throw Error(ErrorCode::unsupported, where,
                    "may have gains for each head or for all; \"head_dim\" in the hidden part would tell");
    if (map.unit == 0 && part.axis < shape.size())  // by hand: the file does not say how wide a head is
        map.unit = static_cast<std::size_t>(shape[part.axis]) / map.from.size();
    return map;
}

void refuseHiddenAxis(const std::string& where, const std::string& why) {
    throw Error(ErrorCode::unsupported, where,
                "has a hidden axis (heads or MLP neurons), and " + why +
                    "; a gauge without a hidden part moves the residual stream alone");
}

}  // namespace regauge

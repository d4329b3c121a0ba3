#include "hidden/roles.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "hidden/small_matrix.hpp"
#include "recipes/embedded.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

using Json = nlohmann::json;

struct Table {
    std::vector<HiddenLayout> layouts;
    std::vector<std::pair<std::string, std::string>> refused;  // model_type, why
    std::vector<std::pair<std::string, HiddenState>> states;   // a rule's last part, what it is
    std::vector<std::pair<std::string, HiddenRole>> hooks;
};

Table readTable() {
    Table table;
    for (const EmbeddedRecipe& file : embeddedRecipes()) {
        if (file.path != "hidden.json") continue;
        const Json json = Json::parse(file.json);
        for (const Json& one : json.at("layouts")) {
            HiddenLayout layout{one.at("types").get<std::vector<std::string>>(),
                                {},
                                one.value("query_norm", ""),
                                one.value("key_norm", "")};
            for (const HiddenRole role : hiddenRoles)
                layout.modules[static_cast<std::size_t>(role)] = one.at(std::string(name(role))).get<std::string>();
            table.layouts.push_back(std::move(layout));
        }
        for (const Json& one : json.at("refused"))
            for (const Json& type : one.at("types"))
                table.refused.emplace_back(type.get<std::string>(), one.at("why").get<std::string>());
        for (const auto& [words, state] :
             {std::pair("weights", HiddenState::weight), std::pair("gradients", HiddenState::gradient),
              std::pair("squares", HiddenState::square)})
            for (const Json& word : json.at("state").at(words))
                table.states.emplace_back(word.get<std::string>(), state);
        for (const HiddenRole role : hiddenRoles)
            for (const Json& hook : json.at("hooks").value(std::string(name(role)), Json::array()))
                table.hooks.emplace_back(hook.get<std::string>(), role);
    }
    return table;
}

const Table& table() {
    static const Table all = readTable();
    return all;
}

bool any(const std::vector<float>& list) { return !list.empty(); }

// Z of key-value head g: a turn in every RoPE plane, the matrix behind them on the rest.
small::Matrix keyMatrix(const HiddenShape& shape, const HiddenLayer& layer, std::size_t g) {
    const std::size_t n = shape.headDim, pairs = shape.pairs, rest = shape.free();
    small::Matrix z = small::identity(n);
    if (any(layer.turn))
        for (std::size_t k = 0; k < pairs; ++k) {
            const double real = layer.turn[2 * (g * pairs + k)], imaginary = layer.turn[2 * (g * pairs + k) + 1];
            z[k * n + k] = z[(k + pairs) * n + k + pairs] = real;
            z[k * n + k + pairs] = -imaginary;
            z[(k + pairs) * n + k] = imaginary;
        }
    if (any(layer.freeKeys))
        for (std::size_t i = 0; i < rest; ++i)
            for (std::size_t j = 0; j < rest; ++j)
                z[(2 * pairs + i) * n + 2 * pairs + j] = layer.freeKeys[g * rest * rest + i * rest + j];
    return z;
}

small::Matrix valueMatrix(const HiddenShape& shape, const HiddenLayer& layer, std::size_t g) {
    const std::size_t size = shape.headDim * shape.headDim;
    return small::widened(std::span(layer.value).subspan(g * size, size));
}

// The matrices of a key-value head, or the inverse transposed of each: what acts on the other side of the product.
template <class Of>
std::vector<double> matricesOf(const HiddenShape& shape, bool dual, const Of& of) {
    std::vector<double> all;
    for (std::size_t g = 0; g < shape.kvHeads; ++g) {
        small::Matrix one = of(g);
        if (dual) one = small::transpose(*small::inverse(one, shape.headDim), shape.headDim);
        all.insert(all.end(), one.begin(), one.end());
    }
    return all;
}

std::vector<double> neuronScales(const HiddenLayer& layer, bool inverted) {
    std::vector<double> scale(layer.neuronSign.begin(), layer.neuronSign.end());
    for (std::size_t i = 0; any(layer.neuronScale) && i < scale.size(); ++i)
        scale[i] = inverted ? scale[i] / layer.neuronScale[i] : scale[i] * layer.neuronScale[i];
    return scale;
}

}  // namespace

std::string_view name(HiddenRole role) {
    constexpr std::array<std::string_view, hiddenRoles.size()> words{"query", "key", "value", "output",
                                                                     "gate",  "up",  "down"};
    return words[static_cast<std::size_t>(role)];
}

bool ofNeurons(HiddenRole role) {
    return role == HiddenRole::gate || role == HiddenRole::up || role == HiddenRole::down;
}

std::string unitsOf(HiddenRole role, std::size_t layer) {
    return std::string(ofNeurons(role) ? "neurons" : "heads") + " of layer " + std::to_string(layer);
}

std::string inLayer(const std::string& pattern, std::size_t layer) {
    constexpr std::string_view place = "{l}";
    std::string text = pattern;
    return text.replace(text.find(place), place.size(), std::to_string(layer));
}

std::string HiddenLayout::module(HiddenRole role, std::size_t layer) const {
    return inLayer(modules[static_cast<std::size_t>(role)], layer);
}

std::vector<HiddenRole> HiddenLayout::together(HiddenRole role) const {
    std::vector<HiddenRole> roles;
    for (const HiddenRole one : hiddenRoles)
        if (modules[static_cast<std::size_t>(one)] == modules[static_cast<std::size_t>(role)]) roles.push_back(one);
    return roles;
}

const std::vector<HiddenLayout>& hiddenLayouts() { return table().layouts; }

const HiddenLayout& hiddenLayout(const std::string& modelType, const std::string& where) {
    for (const HiddenLayout& layout : table().layouts)
        if (std::ranges::find(layout.types, modelType) != layout.types.end()) return layout;
    const auto refused = std::ranges::find(table().refused, modelType, &std::pair<std::string, std::string>::first);
    throw Error(ErrorCode::unsupported, where,
                "is a model of type '" + modelType + "', whose heads and neurons regauge does not match: " +
                    (refused != table().refused.end() ? refused->second : "its hidden freedom is not in the tables") +
                    "; align it without --hidden");
}

HiddenState hiddenState(const std::string& rule) {
    constexpr std::string_view module = "{module}";
    const std::string own = rule.substr(rule.find(module) + module.size() + 1);
    const auto found = std::ranges::find(table().states, own, &std::pair<std::string, HiddenState>::first);
    return found == table().states.end() ? HiddenState::other : found->second;
}

const std::vector<std::pair<std::string, HiddenRole>>& hiddenHooks() { return table().hooks; }

std::size_t hiddenLength(const HiddenShape& shape, HiddenRole role) {
    switch (role) {
        case HiddenRole::query:
        case HiddenRole::output: return shape.heads * shape.headDim;
        case HiddenRole::key:
        case HiddenRole::value: return shape.kvHeads * shape.headDim;
        case HiddenRole::gate:
        case HiddenRole::up:
        case HiddenRole::down: return shape.neurons;
    }
    return 0;
}

bool UnitMap::isExact() const {
    return matrices.empty() && std::ranges::all_of(scale, [](double value) { return value == 1 || value == -1; });
}

bool UnitMap::isIdentity() const {
    if (!matrices.empty() || !std::ranges::all_of(scale, [](double value) { return value == 1; })) return false;
    for (std::size_t u = 0; u < from.size(); ++u)
        if (from[u] != u) return false;
    return true;
}

UnitMap unitMap(const HiddenShape& shape, const HiddenLayer& layer, HiddenRole role) {
    const auto neurons = [&](std::vector<double> scale) { return UnitMap{1, layer.neurons, std::move(scale), {}, 1}; };
    const bool queries = role == HiddenRole::query || role == HiddenRole::output;
    UnitMap heads{shape.headDim, queries ? layer.heads : layer.kvHeads, {}, {}, queries ? shape.perGroup() : 1};
    switch (role) {
        case HiddenRole::gate: return neurons({});
        case HiddenRole::up: return neurons(neuronScales(layer, false));
        case HiddenRole::down: return neurons(neuronScales(layer, true));
        case HiddenRole::query:
        case HiddenRole::key:
            if (any(layer.turn) || any(layer.freeKeys))
                heads.matrices = matricesOf(shape, queries, [&](std::size_t g) { return keyMatrix(shape, layer, g); });
            return heads;
        case HiddenRole::value:
        case HiddenRole::output:
            if (any(layer.value))
                heads.matrices =
                    matricesOf(shape, queries, [&](std::size_t g) { return valueMatrix(shape, layer, g); });
            return heads;
    }
    return heads;
}

UnitMap unitMap(const HiddenShape& shape, const HiddenLayer& layer, const std::vector<HiddenRole>& roles) {
    if (roles.size() == 1) return unitMap(shape, layer, roles.front());
    std::vector<UnitMap> maps;
    for (const HiddenRole role : roles) maps.push_back(unitMap(shape, layer, role));
    const bool scales = std::ranges::any_of(maps, [](const UnitMap& map) { return !map.scale.empty(); });
    const bool matrices = std::ranges::any_of(maps, [](const UnitMap& map) { return !map.matrices.empty(); });
    UnitMap all{maps.front().unit, {}, {}, {}, 1};
    const small::Matrix still = small::identity(matrices ? all.unit : 0);
    for (const UnitMap& map : maps) {
        const auto before = static_cast<std::uint32_t>(all.from.size());
        for (std::size_t u = 0; u < map.from.size(); ++u) {
            all.from.push_back(before + map.from[u]);
            if (scales) all.scale.push_back(map.scale.empty() ? 1 : map.scale[u]);
            if (!matrices) continue;
            const std::span<const double> one = map.matrices.empty() ? std::span<const double>(still) : map.matrix(u);
            all.matrices.insert(all.matrices.end(), one.begin(), one.end());
        }
    }
    return all;
}

}  // namespace regauge

// What a tensor is to a layer's hidden units, and how its hidden axis moves (core/recipes/hidden.json).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "regauge/hidden.hpp"

namespace regauge {

enum class HiddenRole { query, key, value, output, gate, up, down };
inline constexpr std::array<HiddenRole, 7> hiddenRoles{HiddenRole::query,  HiddenRole::key,  HiddenRole::value,
                                                       HiddenRole::output, HiddenRole::gate, HiddenRole::up,
                                                       HiddenRole::down};
// "query", "key", ...: the words of hidden.json.
std::string_view name(HiddenRole role);
// Whether it writes the stream: its hidden axis is then the one that it sums over.
inline bool sumsOverHidden(HiddenRole role) { return role == HiddenRole::output || role == HiddenRole::down; }

// Whether its hidden axis is of MLP neurons; of heads otherwise.
bool ofNeurons(HiddenRole role);
// "neurons of layer 3", "heads of layer 3": along its hidden axis.
std::string unitsOf(HiddenRole role, std::size_t layer);

// The modules of a layer by their roles, as one family of models names them.
struct HiddenLayout {
    std::vector<std::string> types;
    std::array<std::string, hiddenRoles.size()> modules;  // "layers.{l}.mlp.up_proj"
    std::string queryNorm, keyNorm;                       // "" where the family has none
    // "layers.3.mlp.up_proj".
    std::string module(HiddenRole role, std::size_t layer) const;
    // The roles that lie in its module one after the other, itself among them (Phi-3: query, key and value).
    std::vector<HiddenRole> together(HiddenRole role) const;
};
// "layers.{l}.mlp.up_proj" -> "layers.3.mlp.up_proj".
std::string inLayer(const std::string& pattern, std::size_t layer);

// The layout of a model_type. Throws Error(unsupported) naming it where there is none, with the reason if one is known.
const HiddenLayout& hiddenLayout(const std::string& modelType, const std::string& where);
// Every layout, for objects that do not say their model's type.
const std::vector<HiddenLayout>& hiddenLayouts();

// What an optimizer's state is to its parameter: how it moves where channels are scaled or mixed.
enum class HiddenState { weight, gradient, square, other };
// By the name of the state's rule (core/recipes/state): "state.{module}.exp_avg".
HiddenState hiddenState(const std::string& rule);

// Hooks inside a layer, by own names with one {l}, and the role whose hidden axis moves as what is there does.
const std::vector<std::pair<std::string, HiddenRole>>& hiddenHooks();

// The length of a role's hidden axis.
std::size_t hiddenLength(const HiddenShape& shape, HiddenRole role);

// How a hidden axis moves: in units, one after the other, of `unit` entries each. The target's unit u is the source's
// unit from[u], times scale[u] (where there are scales), or with a matrix in front (where there are matrices, [unit,
// unit] each, row-major, of group u / perMatrix).
struct UnitMap {
    std::size_t unit = 1;
    std::vector<std::uint32_t> from;
    std::vector<double> scale;
    std::vector<double> matrices;
    std::size_t perMatrix = 1;

    std::span<const double> matrix(std::size_t u) const {
        return std::span(matrices).subspan(u / perMatrix * unit * unit, unit * unit);
    }
    bool isIdentity() const;
    // Nothing but places and signs: bits are kept.
    bool isExact() const;
};
// For a weight or a bias of that role.
UnitMap unitMap(const HiddenShape& shape, const HiddenLayer& layer, HiddenRole role);
// For roles that lie in one module, one after the other.
UnitMap unitMap(const HiddenShape& shape, const HiddenLayer& layer, const std::vector<HiddenRole>& roles);

}  // namespace regauge

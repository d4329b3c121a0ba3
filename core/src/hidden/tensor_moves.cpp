#include "hidden/tensor_moves.hpp"

#include <algorithm>
#include <utility>

#include "hidden/moved_axis.hpp"
#include "hidden/small_matrix.hpp"
#include "io/bytes.hpp"
#include "recipes/name_pattern.hpp"
#include "recipes/recipe_table.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr const char* withoutState =
    "; resume without the optimizer state (leave its file out), or move model and state by a gauge without a hidden "
    "part";

// The rule of an optimizer's state, and the parameter that it is kept for.
struct State {
    const TensorRule* rule = nullptr;
    std::string_view parameter;
};

std::optional<State> stateOf(std::string_view name) {
    for (const Recipe& recipe : recipes()) {
        if (!recipe.optimizer && !recipe.namedByFolder) continue;
        for (const TensorRule& rule : recipe.tensors)
            if (!rule.like.empty())
                if (const auto parameter = matchName(rule.name, name)) return State{&rule, *parameter};
    }
    return std::nullopt;
}

// The gradient of what moves with M (M W, or W M^T) moves with M^-T: the function stays. Scales are their own
// transposes.
void toGradient(UnitMap& map) {
    for (double& scale : map.scale) scale = 1 / scale;
    const std::size_t size = map.unit * map.unit;
    for (std::size_t first = 0; first < map.matrices.size(); first += size) {
        const auto one = std::span(map.matrices).subspan(first, size);
        std::ranges::copy(small::transpose(*small::inverse(one, map.unit), map.unit), one.begin());
    }
}

// Squares of what moves with `map`, entry by entry. Throws where entries mix.
void square(UnitMap& map, const std::string& where) {
    for (double& scale : map.scale) scale *= scale;
    if (map.isExact()) map.scale.clear();
    for (std::size_t k = 0; k < map.matrices.size(); ++k) {
        const std::size_t row = k / map.unit % map.unit, column = k % map.unit;
        if (row != column && map.matrices[k] != 0)
            throw Error(ErrorCode::unsupported, where,
                        "holds squares of gradients, and this gauge's turns or matrices mix the channels of heads: "
                        "squares of a mixture are not told by the squares" +
                            std::string(withoutState));
        map.matrices[k] *= map.matrices[k];
    }
}

bool hasScales(const UnitMap& map) { return !map.isExact(); }

// What becomes of the parameter's map for state of this rule.
UnitMap stateMap(UnitMap map, const State& state, const std::string& where) {
    const HiddenState kind = hiddenState(state.rule->name);
    if (kind == HiddenState::weight) return map;
    if (kind == HiddenState::other && hasScales(map))
        throw Error(ErrorCode::unsupported, where,
                    "is " + state.rule->why +
                        ", which regauge moves to other places and signs alone, and this gauge "
                        "scales, turns or mixes hidden channels" +
                        withoutState);
    toGradient(map);
    if (kind == HiddenState::square) square(map, where);
    if (kind == HiddenState::other && state.rule->like != "same") map.scale.clear();
    return map;
}

// Which axis of the state the parameter's axis is; nothing where it was summed over.
std::optional<std::size_t> stateAxis(std::size_t axis, const std::string& like, const Shape& shape) {
    const std::size_t axes = shape.size() + (like == "rows" || like == "columns" ? 1 : 0);
    if (like == "rows" && axis + 1 == axes) return std::nullopt;
    if (like == "columns" && axis + 2 == axes) return std::nullopt;
    const std::size_t at = like == "columns" && axis + 1 == axes ? axis - 1 : axis;
    if (at < shape.size() && shape[at] == 1) return std::nullopt;
    return at;
}

}  // namespace

std::optional<HiddenMove> HiddenMoves::ofState(const Member& member, std::size_t index, std::string_view name) const {
    const State state = *stateOf(name);
    const TensorInfo& info = member.file.tensors[index].info;
    const std::string where = placeOf(member.file.source->name(), std::string(name));
    const HiddenPart* part = parts_.find(state.parameter);
    if (!part) part = parts_.find(std::string(state.parameter) + ".weight");
    if (!part && parts_.isHidden(state.parameter))
        refuseHiddenAxis(where, "regauge does not know how this one moves along it");
    if (!part || info.shape.empty()) return std::nullopt;
    std::optional<UnitMap> map = parts_.mapOf(*part, info.shape, where);
    if (!map) return std::nullopt;
    if (state.rule->like == "stacked") refuseHiddenAxis(where, "state of three axes does not move along it");
    *map = stateMap(std::move(*map), state, where);
    const std::optional<std::size_t> axis = stateAxis(part->axis, state.rule->like, info.shape);
    if (!axis) return std::nullopt;
    return HiddenMove{part, *axis, std::move(*map)};
}

bool HiddenMoves::concern(const Members& files) const {
    const auto hidden = [&](const std::string& name) {
        const std::optional<State> state = stateOf(name);
        return parts_.isHidden(state ? state->parameter : name);
    };
    return std::ranges::any_of(files.members,
                               [&](const Member& member) { return std::ranges::any_of(member.names, hidden); });
}

std::optional<HiddenMove> HiddenMoves::of(const Member& member, std::size_t index) const {
    const StoredTensor& stored = member.file.tensors[index];
    const std::string& name = stored.info.name;
    const std::string where = placeOf(member.file.source->name(), name);
    std::optional<HiddenMove> move;
    if (stateOf(member.names[index])) {
        move = ofState(member, index, member.names[index]);
    } else {
        const HiddenPart* part = parts_.find(name);
        if (!part && parts_.isHidden(name))
            refuseHiddenAxis(where, "regauge does not know how this one moves along it");
        std::optional<UnitMap> map = part ? parts_.mapOf(*part, stored.info.shape, where) : std::nullopt;
        if (map) move = HiddenMove{part, part->axis, std::move(*map)};
    }
    if (move && (stored.fortranOrder || stored.bigEndian || !stored.quantized.empty()))
        refuseHiddenAxis(where, "it is stored column-major, big-endian or in quantised blocks");
    return move;
}

std::shared_ptr<const ByteSource> HiddenMoves::moved(const Member& member, std::size_t index,
                                                     std::shared_ptr<const ByteSource> in) const {
    std::optional<HiddenMove> move = of(member, index);
    if (!move) return in;
    const TensorInfo& info = member.file.tensors[index].info;
    return movedUnits(std::move(in), info, move->axis, std::move(move->map),
                      placeOf(member.file.source->name(), info.name));
}

}  // namespace regauge

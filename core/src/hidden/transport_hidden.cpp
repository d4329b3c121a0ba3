// Transport by both gauges of a pair.
#include <optional>
#include <utility>

#include "hidden/hidden_space.hpp"
#include "hidden/model_shape.hpp"
#include "hidden/tensor_moves.hpp"
#include "recipes/stream_roles.hpp"
#include "regauge/error.hpp"
#include "regauge/hidden.hpp"
#include "transport/channel_list.hpp"
#include "transport/planned_object.hpp"
#include "transport/provenance.hpp"
#include "transport/transport_along.hpp"

namespace regauge {
namespace {

// Adds what moves along hidden axes to the plan of an object of tensors. How many tensors have one that moves. Throws
// Error(dimensionMismatch) where tensors with such axes are of a model of another shape than the gauge's.
std::size_t addHidden(const ObjectPath& object, PlannedObject& planned, const HiddenGauge& hidden,
                      const HiddenMoves& moves) {
    if (moves.concern(planned.files)) requireShape(hidden, object);
    std::size_t at = 0, count = 0, neurons = 0;
    for (const Member& member : planned.files.members)
        for (std::size_t k = 0; k < member.file.tensors.size(); ++k, ++at) {
            const std::optional<HiddenMove> move = moves.of(member, k);
            if (!move) continue;
            ++count;
            if (ofNeurons(move->role())) ++neurons;
            planned.plan.moves[at].why +=
                "; axis " + std::to_string(move->axis) + ": " + unitsOf(move->role(), move->part->layer);
        }
    if (count > 0)
        planned.plan.description += "; hidden axes move as well: of " + std::to_string(neurons) +
                                    " tensors the neurons, of " + std::to_string(count - neurons) + " the heads";
    return count;
}

// The heads or neurons that the object lives on: at the hook that is given, or at the one that it names itself. Nothing
// where it lives in the residual stream, as far as anybody says. Throws Error(unsupported) where it is elsewhere.
std::optional<HiddenSpace> spaceOf(const ObjectPath& object, const std::string& hook, const TransportOptions& options) {
    const std::optional<std::string> named = hook.empty() ? otherHookOf(object, options) : std::optional(hook);
    if (!named) return std::nullopt;
    if (const auto space = hiddenSpace(*named)) return space;
    throw Error(ErrorCode::unsupported, object.path(),
                "lives at '" + *named + "', which is " + otherSpace(*named).value_or("no place that regauge knows") +
                    "; beside the residual stream, objects move on MLP neurons (blocks.3.mlp.hook_post, "
                    "layers.3.mlp.down_proj.input) and on heads (blocks.3.attn.hook_z, "
                    "layers.3.self_attn.o_proj.input)");
}

std::string sentence(const HiddenSpace& space) {
    return "; lives at '" + space.hook + "': moves with the " + space.units() +
           ", whose channels stand for residual ones below";
}

}  // namespace

Plan transport(Files& files, const std::string& object, const Alignment& residual, const HiddenGauge& hidden,
               const std::string& out, const std::string& hook, const TransportOptions& options,
               const Progress& progress) {
    const ObjectPath path(files, object);
    Along along;
    std::optional<std::pair<std::string, std::string>> ends;  // of the gauge and its inverse, which take long: once
    const auto record = [&](const std::string& before) {
        if (!ends) ends.emplace(hidden.fingerprint(), hidden.inverse().fingerprint());
        return recordAfter(before, ends->first, ends->second);
    };
    if (const auto space = spaceOf(path, hook, options)) {
        Alignment own = residual;
        own.gauge = spaceGauge(hidden, *space, object);
        along.space = space->hook;
        along.recordAfter = record;
        Plan plan = transportAlong(files, object, own, out, options, progress, along);
        plan.description += sentence(*space);
        return plan;
    }
    if (openChannelList(path, options, residual.gauge.d()))
        return transport(files, object, residual, out, options, progress);
    const HiddenMoves moves(hidden);
    std::size_t count = 0;
    along.planned = [&](PlannedObject& planned) { count = addHidden(path, planned, hidden, moves); };
    along.moved = [&](const Member& member, std::size_t index, std::shared_ptr<const ByteSource> in) {
        return moves.moved(member, index, std::move(in));
    };
    along.recordAfter = [&](const std::string& before) { return count > 0 ? record(before) : before; };
    return transportAlong(files, object, residual, out, options, progress, along);
}

}  // namespace regauge

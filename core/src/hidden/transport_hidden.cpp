// Transport by both gauges of a pair.
#include <utility>

#include "hidden/neuron_space.hpp"
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

// The plan of an object of tensors, with what moves along its hidden axes. count: how many tensors have one that moves.
Plan planHidden(PlannedObject planned, const HiddenMoves& moves, std::size_t& count) {
    if (planned.blocks) throw *planned.blocks;
    std::size_t at = 0, neurons = 0;
    for (const Member& member : planned.files.members)
        for (std::size_t k = 0; k < member.file.tensors.size(); ++k, ++at) {
            const std::optional<HiddenMove> move = moves.of(member, k);
            if (!move) continue;
            const std::string units = move->units();
            ++count;
            if (units.starts_with("neurons")) ++neurons;
            planned.plan.moves[at].why += "; axis " + std::to_string(move->axis) + ": " + units;
        }
    if (count > 0)
        planned.plan.description += "; hidden axes move as well: of " + std::to_string(neurons) +
                                    " tensors the neurons, of " + std::to_string(count - neurons) + " the heads";
    return std::move(planned.plan);
}

// The neurons that the object lives on: at the hook that is given, or at the one that it names itself. Nothing where it
// lives in the residual stream, as far as anybody says. Throws Error(unsupported) where it is elsewhere.
std::optional<NeuronSpace> spaceOf(const ObjectPath& object, const std::string& hook, const TransportOptions& options) {
    const std::optional<std::string> named = hook.empty() ? otherHookOf(object, options) : std::optional(hook);
    if (!named) return std::nullopt;
    if (const auto space = neuronSpace(*named)) return space;
    throw Error(ErrorCode::unsupported, object.path(),
                "lives at '" + *named + "', which is " + otherSpace(*named).value_or("no place that regauge knows") +
                    "; beside the residual stream, objects move on MLP neurons (blocks.3.mlp.hook_post, "
                    "layers.3.mlp.down_proj.input)");
}

std::string sentence(const NeuronSpace& space) {
    return "; lives at '" + space.hook + "': moves with the neurons of layer " + std::to_string(space.layer) +
           ", which stand for residual channels below";
}

}  // namespace

Plan planTransport(const Files& files, const std::string& object, const Gauge& residual, const HiddenGauge& hidden,
                   const std::string& hook, const TransportOptions& options) {
    const ObjectPath path(files, object);
    if (const auto space = spaceOf(path, hook, options)) {
        const Gauge neurons = neuronGauge(hidden, *space, object);
        if (const auto list = openChannelList(path, options, neurons.d())) {
            requirePlace(*list, space->hook, object);
            Plan plan = list->plan;
            plan.description += sentence(*space);
            return plan;
        }
        PlannedObject planned = planObject(path, options, neurons.d(), space->hook);
        if (planned.blocks) throw *planned.blocks;
        planned.plan.description += sentence(*space);
        return std::move(planned.plan);
    }
    if (openChannelList(path, options, residual.d())) return planTransport(files, object, options, residual.d());
    std::size_t count = 0;
    return planHidden(planObject(path, options, residual.d()), HiddenMoves(hidden), count);
}

Plan transport(Files& files, const std::string& object, const Alignment& residual, const HiddenGauge& hidden,
               const std::string& out, const std::string& hook, const TransportOptions& options,
               const Progress& progress) {
    const ObjectPath path(files, object);
    Along along;
    const auto record = [&](const std::string& before) {
        return recordAfter(before, hidden.fingerprint(), hidden.inverse().fingerprint());
    };
    if (const auto space = spaceOf(path, hook, options)) {
        Alignment neurons = residual;
        neurons.gauge = neuronGauge(hidden, *space, object);
        along.space = space->hook;
        along.recordAfter = record;
        Plan plan = transportAlong(files, object, neurons, out, options, progress, along);
        plan.description += sentence(*space);
        return plan;
    }
    if (openChannelList(path, options, residual.gauge.d()))
        return transport(files, object, residual, out, options, progress);
    const HiddenMoves moves(hidden);
    std::size_t count = 0;
    Plan plan = planHidden(planObject(path, options, residual.gauge.d()), moves, count);
    along.moved = [&](const Member& member, std::size_t index, std::shared_ptr<const ByteSource> in) {
        return moves.moved(member, index, std::move(in));
    };
    if (count > 0) along.recordAfter = record;
    transportAlong(files, object, residual, out, options, progress, along);
    return plan;
}

}  // namespace regauge

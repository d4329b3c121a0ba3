#include "transport/move_checks.hpp"

#include <algorithm>

#include "regauge/error.hpp"

namespace regauge {

void checkGauge(const Plan& plan, const Alignment& alignment, const std::string& object,
                const TransportOptions& options) {
    const Gauge& gauge = alignment.gauge;
    if (alignment.verdict == Verdict::unrelated && !options.force)
        throw Error(ErrorCode::unrelated, object,
                    "the gauge's own verdict is that the two models are unrelated, so moving by it would scramble the "
                    "object; --force does it all the same");
    if (plan.d != 0 && plan.d != gauge.d())
        throw Error(ErrorCode::dimensionMismatch, object,
                    "has d = " + std::to_string(plan.d) + ", and the gauge has d = " + std::to_string(gauge.d()));
    if (plan.permutationOnly) {
        // All signs alike is the one sign that a subtracted mean leaves free.
        const bool uniform = std::all_of(gauge.sign().begin(), gauge.sign().end(),
                                         [&](std::int8_t sign) { return sign != 0 && sign == gauge.sign().front(); });
        if (!uniform && gauge.undetermined() > 0)
            throw Error(ErrorCode::undeterminedSign, object,
                        plan.permutationOnlyReason + ", so all signs must be one, and the gauge leaves " +
                            std::to_string(gauge.undetermined()) + " of " + std::to_string(gauge.d()) +
                            " undetermined; align with activations or embedding rows, not gains alone");
        if (!uniform)
            throw Error(ErrorCode::unsupported, object,
                        plan.permutationOnlyReason +
                            ", so single signs are not a symmetry; align with --group layernorm or --group permutation "
                            "and move by that gauge");
    }
}

void checkGauge(const PlannedObject& planned, const Alignment& alignment, const std::string& object,
                const TransportOptions& options) {
    const std::vector<std::int8_t>& signs = alignment.gauge.sign();
    if (!planned.unsignedWhy.empty() && std::any_of(signs.begin(), signs.end(), [](std::int8_t s) { return s < 0; }))
        throw Error(ErrorCode::unsupported, object,
                    planned.plan.permutationOnlyReason +
                        ", so no sign is a symmetry, not even one for all channels; align with --group permutation and "
                        "move by that gauge");
    checkGauge(planned.plan, alignment, object, options);
}

void checkTensors(const Plan& plan, const Gauge& gauge, const std::string& object) {
    for (const TensorMove& move : plan.moves)
        for (const AxisMove& axis : move.moves) {
            if (axis.action != Action::odd) continue;
            if (!isFloat(move.tensor.dtype))
                throw Error(ErrorCode::wrongDtype, object + (move.tensor.name.empty() ? "" : ": " + move.tensor.name),
                            "holds " + std::string(name(move.tensor.dtype)) +
                                ", which is no float; residual coordinates are floats (quantised tensors must be "
                                "dequantized first)");
            if (gauge.undetermined() > 0)
                throw Error(ErrorCode::undeterminedSign,
                            object + (move.tensor.name.empty() ? "" : ": " + move.tensor.name),
                            "needs every sign, and the gauge leaves " + std::to_string(gauge.undetermined()) + " of " +
                                std::to_string(gauge.d()) +
                                " undetermined; align with activations or embedding rows, not gains alone");
        }
}

}  // namespace regauge

// Transport by a gauge where other axes of the tensors move as well: what the residual gauge knows nothing of.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "regauge/transport.hpp"
#include "transport/object_files.hpp"
#include "transport/planned_object.hpp"

namespace regauge {

// What moves along. Each may be empty.
struct Along {
    // A tensor's bytes (`in`, as they lie in the member's file) with its other axes moved; `in` itself where it has
    // none.
    std::function<std::shared_ptr<const ByteSource>(const Member& member, std::size_t index,
                                                    std::shared_ptr<const ByteSource> in)>
        moved;
    // Told the plan once the gauge's own part of it is found fit, before anything is written; may add to it.
    std::function<void(PlannedObject& planned)> planned;
    // The record of the other axes' moves ("regauge.hidden") after this one; given the one before.
    std::function<std::string(const std::string& before)> recordAfter;
    // The hook whose coordinates the gauge acts on instead of the residual ones (planObject).
    std::string space;
};

// As transport, and throws what `along` does.
Plan transportAlong(Files& files, const std::string& object, const Alignment& alignment, const std::string& out,
                    const TransportOptions& options, const Progress& progress, const Along& along);

}  // namespace regauge

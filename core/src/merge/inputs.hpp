// The checkpoints that are merged, their tensors paired by name.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recipes/config.hpp"
#include "regauge/merge.hpp"
#include "transport/moved_source.hpp"
#include "transport/planned_object.hpp"

namespace regauge {

// One checkpoint and the gauge that moves it into A's coordinates.
struct MergeInput {
    std::string path;
    PlannedObject planned;       // without an optimizer's state: a merged model has no past
    std::optional<Gauge> gauge;  // nothing for A, and for a base that is in A's coordinates
    Config config;               // its config.json, or a GGUF file's key-values; empty where there is none

    struct Place {
        std::size_t member = 0, tensor = 0, move = 0;  // move: in plan.moves
    };
    std::vector<Place> places;  // in the order of the members
    const TensorInfo& info(const Place& place) const {
        return planned.files.members[place.member].file.tensors[place.tensor].info;
    }
    bool unknown(const Place& place) const;
    // The tensor in A's coordinates.
    std::shared_ptr<const ByteSource> bytes(const Place& place, MoveBuffers& buffers) const;
};

// Reads headers only. Throws Error as planTransport and transport do, and unsupported where the object is no
// checkpoint.
MergeInput openMergeInput(const Files& files, const std::string& path, const std::optional<Alignment>& gauge,
                          std::size_t d, bool force);

// For each place of `a`, that of the same tensor in `other`. Throws Error(shapeMismatch) with a list where names,
// shapes or dtypes do not agree, the families differ, or their configurations compute other functions of the same
// weights.
std::vector<MergeInput::Place> pairTensors(const MergeInput& a, const MergeInput& other);

}  // namespace regauge

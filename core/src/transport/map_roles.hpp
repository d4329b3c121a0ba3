// What the tensors of an object are to a map: which of them it moves, how, and by which of several maps.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "regauge/map_transport.hpp"
#include "transport/planned_object.hpp"

namespace regauge {

// How one tensor moves by a map.
struct MappedTensor {
    enum class Role {
        copy,       // not residual
        direction,  // M v along `axis`
        point,      // M x + b
        reader,     // N^T w
        bias,       // of a reader: takes what N's offset adds
        leave,      // not written: no map of its site, or it belongs to the source alone
    };
    Role role = Role::copy;
    std::size_t axis = 0;      // of the residual coordinates
    const Map* map = nullptr;  // where it moves
    std::string name;          // as it is written
    std::string reader;        // of a bias: the tensor whose offset it takes
    std::string scale;         // of a bias: a tensor whose exponential multiplies that offset; or ""
};

struct MappedObject {
    PlannedObject planned;
    std::vector<MappedTensor> tensors;  // as planned.plan.moves
    bool subtractsPoint = false;        // its encoder reads x minus the decoder's bias
    std::vector<std::string> notes;     // for the plan's description
};

// Throws Error as transport() by a map does before it writes.
MappedObject mapObject(const ObjectPath& path, const MapSet& maps, const MapTransportOptions& options);

}  // namespace regauge

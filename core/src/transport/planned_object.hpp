// A plan together with the files that it is about: what planTransport shows and transport carries out.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "recipes/recipe_table.hpp"
#include "regauge/error.hpp"
#include "regauge/transport.hpp"
#include "transport/object_files.hpp"

namespace regauge {

struct PlannedObject {
    Plan plan;  // plan.moves: the members' tensors in order, one after the other
    const Recipe* recipe = nullptr;
    Members files;
    // Set where tensors lie in quantised blocks along the residual axis, which cannot move: what, and the way out.
    std::optional<Error> blocks;
    std::string unsignedWhy;         // why not even one sign for all channels is a symmetry; empty where it may be
    std::optional<Error> forbidden;  // what its configuration forbids, until it is known that this reading is the one
};

// Recognises the object and applies the recipe that fits. d: the gauge's width, or 0. space: the hook whose coordinates
// stand for the residual ones ("blocks.3.mlp.hook_post"), which must be the object's own where it names one; or "".
// Throws Error: missingFile, malformed, unsupported, ambiguous, shapeMismatch, dimensionMismatch, and those of
// openTensorFile.
PlannedObject planObject(const ObjectPath& object, const TransportOptions& options, std::size_t d,
                         const std::string& space = "");

}  // namespace regauge

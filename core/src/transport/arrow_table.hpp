// Arrow tables among the objects: inspected as the evidence that they are, and not moved.
#pragma once

#include <optional>

#include "transport/object_files.hpp"
#include "transport/planned_object.hpp"

namespace regauge {

// The table that an object is, of a file and of a folder; nothing where it is something else.
std::optional<TensorFile> tableOfFile(const ObjectPath& object);
std::optional<TensorFile> tableOfFolder(const ObjectPath& object);

// Its columns, none of which moves: `blocks` says why.
PlannedObject plannedTable(TensorFile table);

}  // namespace regauge

// The messages of an Arrow IPC stream or file, one after the other: its schema, and of each record batch where the
// columns' values lie. Arrow columnar format, "Serialization and Interprocess Communication"
// (https://arrow.apache.org/docs/format/Columnar.html).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/arrow_column.hpp"

namespace regauge {

// What one file holds.
struct ArrowTable {
    std::shared_ptr<const ByteSource> source;
    std::vector<ArrowColumn> columns;  // all of them, also those that are left out
    bool stream = true;                // or a file, which is a stream between a head and a footer
};

// Whether a file that begins so is an Arrow stream or file.
bool looksLikeArrow(std::string_view head);

// Reads every message's metadata and the offsets of lists: time linear in these.
// Throws Error: truncated, malformed, unsupported (compressed, big-endian, before Arrow 0.15), ambiguous (two columns
// of one name), tooLarge.
ArrowTable readArrowTable(std::shared_ptr<const ByteSource> source);

// What to do where regauge does not read or write a table: a line of Python that saves a column,
// also of tensors of a fixed shape. It is run by
// tests/interop/containers.py.
std::string arrowWayOut(bool stream);

}  // namespace regauge

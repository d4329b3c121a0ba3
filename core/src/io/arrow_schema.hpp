// The schema of an Arrow stream: its columns, and which of them hold numbers. Arrow columnar format, "Schema message"
// and "Buffer listing for each layout" (https://arrow.apache.org/docs/format/Columnar.html); field numbers are those of
// Schema.fbs there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "io/flatbuffer.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

// Type of Schema.fbs, as its union numbers them.
enum class ArrowType : std::uint8_t {
    null = 1,
    integer,
    floatingPoint,
    binary,
    utf8,
    boolean,
    decimal,
    date,
    time,
    timestamp,
    interval,
    list,
    structure,
    unions,
    fixedSizeBinary,
    fixedSizeList,
    map,
    duration,
    largeBinary,
    largeUtf8,
    largeList,
    runEndEncoded,
    binaryView,
    utf8View,
    listView,
    largeListView
};
std::string_view name(ArrowType type);

struct ArrowField {
    std::string name;
    ArrowType type = ArrowType::null;
    Dtype dtype = Dtype::F32;    // of integer, floatingPoint and boolean
    std::uint64_t listSize = 0;  // of fixedSizeList
    bool dictionary = false;     // its values are indices into a dictionary
    bool dense = false;          // of a union
    bool shapedTensors = false;  // of the extension arrow.fixed_shape_tensor: listSize is the product of its shape
    std::vector<ArrowField> children;

    bool isList() const {
        return type == ArrowType::list || type == ArrowType::largeList || type == ArrowType::fixedSizeList;
    }
    bool isNumber() const {
        return type == ArrowType::floatingPoint || type == ArrowType::integer || type == ArrowType::boolean;
    }
};

struct ArrowSchema {
    std::vector<ArrowField> columns;
    bool validityOfUnions = false;  // metadata version 4: unions have a validity buffer, too
};

// What a schema may hold at most: columns and what they are made of, and levels of lists and structures. A table of
// activations has a few columns and 4 levels.
constexpr std::size_t mostArrowFields = 100000, deepestArrowField = 16;

// message: of type Schema. Throws Error: malformed, unsupported (big-endian numbers, types and versions that are not
// known), tooLarge.
ArrowSchema readArrowSchema(const FlatTable& message);

// How many buffers a record batch holds of the field itself, without its children.
std::size_t buffersOf(const ArrowField& field, const ArrowSchema& schema);

}  // namespace regauge

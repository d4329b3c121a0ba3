// One column of numbers in an Arrow stream, batch after batch: where its values lie, and what shape they have together.
//
//   column:   list of lists of floats, as datasets' Array2D([2, 3]) is stored
//   batch:    row 0: [[a b c] [d e f]]   row 1: [[g h i] [j k l]]
//   offsets:  0 2 4 (of rows)            0 3 6 9 12 (of lists)
//   values:   a b c d e f g h i j k l    one range of the file; shape [2, 2, 3]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/arrow_schema.hpp"
#include "regauge/io/byte_source.hpp"

namespace regauge {

// Why a column of the extension arrow.fixed_shape_tensor is left out: its lists have several axes in one, and so no d.
constexpr std::string_view tensorsOfFixedShape = "tensors of a fixed shape";

// A range of elements, one behind the other in the file.
struct ArrowSegment {
    std::uint64_t offset = 0;   // of its first byte
    std::uint64_t count = 0;    // of elements
    std::uint8_t firstBit = 0;  // of booleans: which bit of the first byte is the first element
};

// A record batch whose message has been read: nodes and buffers in the order of the schema's fields, as the format
// flattens them.
struct ArrowBatch {
    struct Node {
        std::uint64_t length = 0, nulls = 0;
    };
    struct Buffer {
        std::uint64_t offset = 0, bytes = 0;  // in the file
    };
    const ByteSource* source = nullptr;
    std::uint64_t rows = 0;
    std::vector<Node> nodes;
    std::vector<Buffer> buffers;
};

class ArrowColumn {
public:
    // The column that a field is, or, where it holds no arrays of numbers, why it is left out.
    explicit ArrowColumn(const ArrowField& field);

    // Takes in the batch's part, whose nodes and buffers begin at these. Offsets of lists are read, values are not.
    // Throws Error(malformed) where they do not fit one another or lie outside their buffers.
    void add(const ArrowBatch& batch, std::size_t node, std::size_t buffer);
    // The same column of a next file, whose bytes lie `by` behind this one's. Throws Error(malformed) where it is
    // another: `where` is that file.
    void append(const ArrowColumn& next, std::uint64_t by, const std::string& where);

    const std::string& name() const { return name_; }
    Dtype dtype() const { return dtype_; }
    const std::vector<ArrowSegment>& segments() const { return segments_; }
    // "" where the column is readable: all lists of its innermost level equally long, nothing null.
    std::string leftOut() const;
    // [rows, .., d] where the lists of each level are equally long; [all, d] where those of an outer level are not; of
    // integers and booleans whose innermost lists differ in length [all].
    Shape shape() const;

private:
    // A level of lists: how long all of its lists are, as far as they are alike.
    struct Level {
        ArrowType type;
        std::uint64_t fixed = 0;  // of a fixed size
        std::optional<std::uint64_t> length;
        bool ragged = false;

        void see(std::uint64_t count);
    };
    struct Range {
        std::uint64_t begin = 0, end = 0;
    };
    Range within(Level& level, const ArrowBatch& batch, const ArrowBatch::Node& node, std::size_t buffer, Range lists);
    Range byOffsets(Level& level, const ArrowBatch& batch, const ArrowBatch::Buffer& offsets, Range lists);
    void addValues(const ArrowBatch& batch, const ArrowBatch::Node& node, const ArrowBatch::Buffer& values,
                   Range range);

    std::string name_;
    std::string unreadable_;  // a type that is not read
    Dtype dtype_ = Dtype::F32;
    std::vector<Level> levels_;  // outermost first
    bool nulls_ = false;
    std::uint64_t rows_ = 0, elements_ = 0;
    std::vector<ArrowSegment> segments_;
};

}  // namespace regauge

// From tensors in files to rows, gains and token ids. Internal to evidence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "regauge/evidence.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {

// A tensor of an opened file; the file is shared by all that read from it.
struct TensorRef {
    std::shared_ptr<const TensorFile> file;
    std::size_t index = 0;

    const StoredTensor& stored() const { return file->tensors[index]; }
    const TensorInfo& info() const { return stored().info; }
    std::string where() const;
};

// Element types that rows may have: F16, BF16, F32, F64.
bool isRowDtype(Dtype dtype);

// The tensor [.., d] as rows of length d: leading axes flatten. Throws Error: wrongDtype, shapeMismatch (no rows, no
// axis).
std::shared_ptr<const RowReader> rowsOf(const TensorRef& tensor);
// The columns of a matrix [d, n] as n rows of length d.
std::shared_ptr<const RowReader> columnsOf(const TensorRef& tensor);
// The same rows with those of each head in another order, where a GGUF converter interleaved its halves
// (GgufModel::interleavedHeads): given a0 b0 a1 b1 .., read as a0 a1 .. b0 b1 ..
// Throws Error(shapeMismatch) where the rows do not divide into so many heads of two halves.
std::shared_ptr<const RowReader> inHalves(std::shared_ptr<const RowReader> rows, std::uint64_t heads);
// rows of one sequence: the last axis but one where there are at least three, otherwise 0.
std::uint64_t sequenceOf(const Shape& shape);

// The elements of a 1-D float tensor, plus `offset`, checked to be finite. Throws Error: wrongDtype, notFinite.
std::vector<double> readGains(const TensorRef& tensor, double offset);
// The elements of an integer or boolean tensor of any width, in row-major order. Throws Error(wrongDtype) for floats.
std::vector<std::int64_t> readIntegers(const TensorRef& tensor);

}  // namespace regauge

// A tensor's bytes as they are after a move, read by range. Everything that moves a tensor reads it through this: what
// a file of any size costs is a block, or a slab.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "regauge/gauge.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/recipe.hpp"

namespace regauge {

// Memory that outlives a tensor: clearing a hundred megabytes for each of a checkpoint's tensors takes longer than
// moving them. Not for several threads at once.
class MoveBuffers {
public:
    std::vector<std::byte> take();
    void give(std::vector<std::byte> buffer);

private:
    std::vector<std::vector<std::byte>> free_;
};

// The stored bytes of `in` (whose offset 0 is the tensor's first byte) with its axes moved by the gauge. gauge and
// buffers must outlive the source.
// moves: axes of stored.info.shape, each at most once. Reading in order costs what reading the tensor costs.
// Memory: for each moved axis one slab [d, inner] of it, or 1 MB where it is larger than 128 MB (then its rows are read
// where they lie). Not for several threads at once.
// Throws Error: dimensionMismatch, and as moveAxis does.
std::shared_ptr<const ByteSource> movedBytes(std::shared_ptr<const ByteSource> in, const StoredTensor& stored,
                                             const std::vector<AxisMove>& moves, const Gauge& gauge,
                                             MoveBuffers& buffers);

// How many bytes of it are best read at a time: few enough to stay in a processor's cache, and whole slabs where they
// are small.
std::size_t movedBlockBytes(const StoredTensor& stored, const std::vector<AxisMove>& moves);

// The same of tensor `index` of `file`, row-major and little-endian. Throws Error(unsupported) for a big-endian or
// column-major array.
std::shared_ptr<const ByteSource> movedTensorBytes(const TensorFile& file, std::size_t index,
                                                   const std::vector<AxisMove>& moves, const Gauge& gauge,
                                                   MoveBuffers& buffers);

}  // namespace regauge

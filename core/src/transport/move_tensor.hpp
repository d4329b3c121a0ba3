// One tensor moved from a source to a sink, in blocks: what a file of any size costs is a block, or one expert's matrix.
#pragma once

#include <functional>
#include <vector>

#include "regauge/gauge.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/recipe.hpp"

namespace regauge {

// Writes stored.info.bytes of `in` (whose offset 0 is the tensor's first byte) to `out`, its axes moved.
// moves: axes of stored.info.shape, each at most once, of the gauge's length. done: called with the bytes written since the last call.
// Throws Error as moveAxis does. Memory: at most 128 MB and three blocks of 4 MB, however large the tensor.
void moveTensor(const Gauge& gauge, const StoredTensor& stored, const std::vector<AxisMove>& moves, const ByteSource& in, ByteSink& out,
                const std::function<void(std::uint64_t)>& done);

}  // namespace regauge

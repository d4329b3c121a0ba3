// One tensor moved from a source to a sink, in blocks.
#pragma once

#include <functional>
#include <vector>

#include "transport/moved_source.hpp"

namespace regauge {

// Writes stored.info.bytes of `in` (whose offset 0 is the tensor's first byte) to `out`, its axes moved.
// moves: axes of stored.info.shape, each at most once, of the gauge's length. done: called with the bytes written since
// the last call.
// Throws Error and takes memory as movedBytes does.
void moveTensor(const Gauge& gauge, const StoredTensor& stored, const std::vector<AxisMove>& moves,
                const ByteSource& in, ByteSink& out, MoveBuffers& buffers,
                const std::function<void(std::uint64_t)>& done);

}  // namespace regauge

#include "transport/move_tensor.hpp"

#include <algorithm>
#include <span>

#include "io/bytes.hpp"

namespace regauge {

void moveTensor(const Gauge& gauge, const StoredTensor& stored, const std::vector<AxisMove>& moves,
                const ByteSource& in, ByteSink& out, MoveBuffers& buffers,
                const std::function<void(std::uint64_t)>& done) {
    const std::shared_ptr<const ByteSource> borrowed(std::shared_ptr<const void>(), &in);
    const std::shared_ptr<const ByteSource> moved = movedBytes(borrowed, stored, moves, gauge, buffers);
    const std::uint64_t blockBytes = movedBlockBytes(stored, moves);
    std::vector<std::byte> block;
    for (std::uint64_t at = 0; at < in.size();) {
        const std::span<std::byte> part =
            roomIn(out, static_cast<std::size_t>(std::min(blockBytes, in.size() - at)), block);
        moved->read(at, part);
        out.write(part);
        at += part.size();
        done(part.size());
    }
}

}  // namespace regauge

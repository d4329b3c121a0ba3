#include "transport/moved_source.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "io/bytes.hpp"
#include "regauge/error.hpp"
#include "regauge/io/within.hpp"

namespace regauge {
namespace {

constexpr std::size_t blockBytes = 256u << 10;   // read, moved and written while it is in the second-level cache: ten
                                                 // times this costs two to five times the time
constexpr std::uint64_t smallBytes = 1u << 20;   // slabs up to this are moved many at a time
constexpr std::uint64_t heldBytes = 128u << 20;  // the largest slab that is held whole rather than read row by row

// One axis of the tensor as it lies there:   [ outer | d | inner ]     a slab is one [d, inner], a row one [inner];
// an axis of several blocks of d is [ outer, blocks | d | inner ]
struct AxisLayout {
    std::uint64_t row = 0, slab = 0;  // bytes
};

AxisLayout layoutOf(const StoredTensor& stored, const AxisMove& move) {
    // Column-major is row-major with the axes in reverse.
    const Shape& shape = stored.info.shape;
    std::uint64_t row = byteSize(stored.info.dtype);
    for (std::size_t k = 0; k < shape.size(); ++k)
        if (stored.fortranOrder ? k < move.axis : k > move.axis) row *= shape[k];
    return {row, row * (shape[move.axis] / move.blocks)};
}

class MovedSource final : public ByteSource {
public:
    MovedSource(std::shared_ptr<const ByteSource> in, const Gauge& gauge, const StoredTensor& stored,
                const AxisMove& move, MoveBuffers& buffers)
        : in_(std::move(in)),
          gauge_(gauge),
          dtype_(stored.info.dtype),
          bigEndian_(stored.bigEndian && byteSize(dtype_) > 1),
          action_(move.action),
          layout_(layoutOf(stored, move)),
          buffers_(buffers) {
        if (stored.info.shape[move.axis] != gauge.d() * move.blocks)
            throw Error(ErrorCode::dimensionMismatch, in_->name(),
                        "has length " + std::to_string(stored.info.shape[move.axis]) +
                            " where the gauge has d = " + std::to_string(gauge.d()));
        original_ = buffers_.take();
    }
    MovedSource(const MovedSource&) = delete;
    MovedSource& operator=(const MovedSource&) = delete;
    ~MovedSource() override { buffers_.give(std::move(original_)); }

    std::uint64_t size() const override { return in_->size(); }
    const std::string& name() const override { return in_->name(); }

    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        requireWithin(*this, offset, into.size());
        if (into.empty()) return;
        return layout_.slab <= smallBytes ? readSlabs(offset, into) : readRows(offset, into);
    }

private:
    std::span<std::byte> original(std::uint64_t bytes) const {
        if (original_.size() < bytes) {
            std::vector<std::byte>().swap(original_);  // freed first: its bytes are of no use
            original_.resize(static_cast<std::size_t>(bytes));
        }
        return std::span(original_).first(static_cast<std::size_t>(bytes));
    }

    // The slabs that the range touches, moved together.
    void readSlabs(std::uint64_t offset, std::span<std::byte> into) const {
        const std::uint64_t slab = layout_.slab, first = offset / slab, last = (offset + into.size() - 1) / slab,
                            count = last - first + 1;
        const std::span<std::byte> from = original(count * slab);
        in_->read(first * slab, from);
        const bool whole = from.size() == into.size();
        if (!whole) moved_.resize(from.size());
        moveSlabs(from, whole ? into : std::span(moved_), count);
        if (!whole)
            std::memcpy(into.data(), moved_.data() + static_cast<std::size_t>(offset - first * slab), into.size());
    }

    void moveSlabs(std::span<const std::byte> from, std::span<std::byte> to, std::uint64_t count) const {
        const Shape shape{count, gauge_.d(), layout_.row / byteSize(dtype_)};
        if (!bigEndian_) return moveAxis(gauge_, action_, from, to, dtype_, shape, 1);
        moveAxis(gauge_, Action::even, from, to, dtype_, shape, 1);
        const std::size_t row = static_cast<std::size_t>(layout_.row);
        for (std::size_t k = 0; k < count * gauge_.d(); ++k)
            if (isNegated(k % gauge_.d())) flipSigns(to.subspan(k * row, row), 0);
    }

    // Row by row, each from where it was: out of the held slab, or out of the file.
    void readRows(std::uint64_t offset, std::span<std::byte> into) const {
        while (!into.empty()) {
            const std::uint64_t slab = offset / layout_.slab, within = offset % layout_.slab, at = within % layout_.row;
            const std::size_t i = static_cast<std::size_t>(within / layout_.row);
            const std::span<std::byte> part =
                into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), layout_.row - at)));
            const std::uint64_t from = gauge_.perm()[i] * layout_.row + at;
            if (layout_.slab <= heldBytes) {
                hold(slab);
                std::memcpy(part.data(), original_.data() + static_cast<std::size_t>(from), part.size());
            } else {
                in_->read(slab * layout_.slab + from, part);
            }
            if (isNegated(i)) flipSigns(part, at);
            offset += part.size();
            into = into.subspan(part.size());
        }
    }

    void hold(std::uint64_t slab) const {
        if (held_ == slab) return;
        held_.reset();
        const std::span<std::byte> whole = original(layout_.slab);
        for (std::size_t at = 0; at < whole.size(); at += blockBytes)
            in_->read(slab * layout_.slab + at, whole.subspan(at, std::min(blockBytes, whole.size() - at)));
        held_ = slab;
    }

    bool isNegated(std::size_t i) const { return action_ == Action::odd && gauge_.sign()[i] < 0; }

    // The sign bit is in an element's last byte, or its first where the bytes are big-endian; `at`: where in the row
    // the part begins.
    void flipSigns(std::span<std::byte> part, std::uint64_t at) const {
        const std::size_t element = byteSize(dtype_), signByte = bigEndian_ ? 0 : element - 1;
        for (std::size_t k = (signByte + element - static_cast<std::size_t>(at % element)) % element; k < part.size();
             k += element)
            part[k] ^= std::byte{0x80};
    }

    std::shared_ptr<const ByteSource> in_;
    const Gauge& gauge_;
    Dtype dtype_;
    bool bigEndian_;
    Action action_;
    AxisLayout layout_;
    MoveBuffers& buffers_;
    mutable std::vector<std::byte> original_, moved_;
    mutable std::optional<std::uint64_t> held_;
};

}  // namespace

std::vector<std::byte> MoveBuffers::take() {
    if (free_.empty()) return {};
    const auto largest =
        std::max_element(free_.begin(), free_.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
    std::vector<std::byte> buffer = std::move(*largest);
    free_.erase(largest);
    return buffer;
}

void MoveBuffers::give(std::vector<std::byte> buffer) { free_.push_back(std::move(buffer)); }

std::shared_ptr<const ByteSource> movedBytes(std::shared_ptr<const ByteSource> in, const StoredTensor& stored,
                                             const std::vector<AxisMove>& moves, const Gauge& gauge,
                                             MoveBuffers& buffers) {
    for (const AxisMove& move : moves) in = std::make_shared<MovedSource>(std::move(in), gauge, stored, move, buffers);
    return in;
}

std::size_t movedBlockBytes(const StoredTensor& stored, const std::vector<AxisMove>& moves) {
    std::uint64_t slab = 1;
    for (const AxisMove& move : moves)
        if (const std::uint64_t one = layoutOf(stored, move).slab; one <= smallBytes) slab = std::max(slab, one);
    return slab == 0 ? blockBytes : static_cast<std::size_t>(std::max<std::uint64_t>(1, blockBytes / slab) * slab);
}

std::shared_ptr<const ByteSource> movedTensorBytes(const TensorFile& file, std::size_t index,
                                                   const std::vector<AxisMove>& moves, const Gauge& gauge,
                                                   MoveBuffers& buffers) {
    const StoredTensor& stored = file.tensors[index];
    if (stored.fortranOrder || (stored.bigEndian && byteSize(stored.info.dtype) > 1))
        throw Error(ErrorCode::unsupported, placeOf(file.source->name(), stored.info.name),
                    "is stored column-major or big-endian; save it row-major and little-endian first");
    return movedBytes(tensorBytes(file, index), stored, moves, gauge, buffers);
}

}  // namespace regauge

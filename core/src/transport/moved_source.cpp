#include "transport/moved_source.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "io/bytes.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t heldBytes = 64u << 20;   // the largest slab that is held whole
constexpr std::uint64_t smallBytes = 1u << 20;   // slabs up to this are moved many at a time

// One axis moved:   [ outer | d | inner ]     a slab is one [d, inner], a row one [inner]
class MovedSource final : public ByteSource {
public:
    MovedSource(std::shared_ptr<const ByteSource> in, const Gauge& gauge, const TensorInfo& info, const AxisMove& move)
        : in_(std::move(in)), gauge_(gauge), dtype_(info.dtype), move_(move) {
        if (info.shape[move.axis] != gauge.d())
            throw Error(ErrorCode::dimensionMismatch, in_->name(), "has length " + std::to_string(info.shape[move.axis]) + " where the gauge has d = " + std::to_string(gauge.d()));
        row_ = byteSize(dtype_);
        for (std::size_t k = move.axis + 1; k < info.shape.size(); ++k) row_ *= info.shape[k];
        slab_ = row_ * gauge.d();
    }
    std::uint64_t size() const override { return in_->size(); }
    const std::string& name() const override { return in_->name(); }

    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        if (offset > size() || into.size() > size() - offset) throw Error(ErrorCode::truncated, name(), "ends before byte " + std::to_string(offset + into.size()));
        if (into.empty()) return;
        return slab_ <= smallBytes ? readSlabs(offset, into) : readRows(offset, into);
    }

private:
    // The slabs that the range touches, moved together.
    void readSlabs(std::uint64_t offset, std::span<std::byte> into) const {
        const std::uint64_t first = offset / slab_, last = (offset + into.size() - 1) / slab_, count = last - first + 1;
        const Shape shape{count, gauge_.d(), row_ / byteSize(dtype_)};
        original_.resize(static_cast<std::size_t>(count * slab_));
        in_->read(first * slab_, original_);
        const bool whole = original_.size() == into.size();
        if (!whole) moved_.resize(original_.size());
        moveAxis(gauge_, move_.action, original_, whole ? into : std::span(moved_), dtype_, shape, 1);
        if (!whole) std::memcpy(into.data(), moved_.data() + static_cast<std::size_t>(offset - first * slab_), into.size());
    }

    // Row by row, each from where it was: out of the held slab, or out of the file.
    void readRows(std::uint64_t offset, std::span<std::byte> into) const {
        while (!into.empty()) {
            const std::uint64_t slab = offset / slab_, within = offset % slab_, i = within / row_, at = within % row_;
            const std::span<std::byte> part = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), row_ - at)));
            const std::uint64_t from = gauge_.perm()[static_cast<std::size_t>(i)] * row_ + at;
            if (slab_ <= heldBytes) {
                hold(slab);
                std::memcpy(part.data(), original_.data() + static_cast<std::size_t>(from), part.size());
            } else {
                in_->read(slab * slab_ + from, part);
            }
            if (move_.action == Action::odd && gauge_.sign()[static_cast<std::size_t>(i)] < 0) flipSigns(part, at);
            offset += part.size();
            into = into.subspan(part.size());
        }
    }

    void hold(std::uint64_t slab) const {
        if (held_ == slab) return;
        held_.reset();
        original_.resize(static_cast<std::size_t>(slab_));
        for (std::size_t at = 0; at < original_.size(); at += smallBytes)
            in_->read(slab * slab_ + at, std::span(original_).subspan(at, std::min<std::size_t>(smallBytes, original_.size() - at)));
        held_ = slab;
    }

    // The sign bit is in an element's last byte; `at`: where in the row the part begins.
    void flipSigns(std::span<std::byte> part, std::uint64_t at) const {
        const std::size_t element = byteSize(dtype_);
        for (std::size_t k = element - 1 - static_cast<std::size_t>(at % element); k < part.size(); k += element) part[k] ^= std::byte{0x80};
    }

    std::shared_ptr<const ByteSource> in_;
    const Gauge& gauge_;
    Dtype dtype_;
    AxisMove move_;
    std::uint64_t row_ = 0, slab_ = 0;  // bytes
    mutable std::vector<std::byte> original_, moved_;
    mutable std::optional<std::uint64_t> held_;
};

}  // namespace

std::shared_ptr<const ByteSource> movedTensorBytes(const TensorFile& file, std::size_t index, const std::vector<AxisMove>& moves, const Gauge& gauge) {
    const StoredTensor& stored = file.tensors[index];
    if (stored.fortranOrder || (stored.bigEndian && byteSize(stored.info.dtype) > 1))
        throw Error(ErrorCode::unsupported, placeOf(file.source->name(), stored.info.name), "is stored column-major or big-endian; save it row-major and little-endian first");
    std::shared_ptr<const ByteSource> bytes = tensorBytes(file, index);
    for (const AxisMove& move : moves) bytes = std::make_shared<MovedSource>(std::move(bytes), gauge, stored.info, move);
    return bytes;
}

}  // namespace regauge

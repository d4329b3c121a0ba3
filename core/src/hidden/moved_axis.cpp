#include "hidden/moved_axis.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/float_blocks.hpp"
#include "hidden/small_matrix.hpp"
#include "regauge/error.hpp"
#include "regauge/io/within.hpp"

namespace regauge {
namespace {

// A block: one unit of rows where axis 0 moves; so many rows where axis 1 does.
constexpr std::size_t rowsTogether = 16;

class MovedUnits final : public ByteSource {
public:
    MovedUnits(std::shared_ptr<const ByteSource> in, const TensorInfo& info, std::size_t axis, UnitMap map)
        : in_(std::move(in)),
          dtype_(info.dtype),
          axis_(axis),
          map_(std::move(map)),
          rows_(static_cast<std::size_t>(info.shape.front())),
          columns_(info.shape.size() == 2 ? static_cast<std::size_t>(info.shape[1]) : 1),
          blockRows_(axis == 0 ? map_.unit : rowsTogether) {}

    std::uint64_t size() const override { return in_->size(); }
    const std::string& name() const override { return in_->name(); }

    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        requireWithin(*this, offset, into.size());
        const std::uint64_t blockBytes = std::uint64_t{blockRows_} * columns_ * byteSize(dtype_);
        while (!into.empty()) {
            const std::uint64_t block = offset / blockBytes, within = offset - block * blockBytes;
            make(static_cast<std::size_t>(block));
            const std::size_t count = std::min(into.size(), moved_.size() - static_cast<std::size_t>(within));
            std::memcpy(into.data(), moved_.data() + within, count);
            into = into.subspan(count);
            offset += count;
        }
    }

private:
    void make(std::size_t block) const {
        if (made_ == block) return;
        made_.reset();
        const std::size_t first = block * blockRows_, count = std::min(blockRows_, rows_ - first);
        const std::size_t rowBytes = columns_ * byteSize(dtype_);
        original_.resize(count * rowBytes), moved_.resize(count * rowBytes);
        const std::size_t from = axis_ == 0 ? map_.from[block] * map_.unit : first;
        in_->read(std::uint64_t{from} * rowBytes, original_);
        if (map_.isExact())
            gather(block, count);
        else
            compute(block, count);
        made_ = block;
    }

    bool negated(std::size_t unit) const { return !map_.scale.empty() && map_.scale[unit] < 0; }

    void gather(std::size_t block, std::size_t count) const {
        const std::size_t element = byteSize(dtype_);
        const auto flip = [&](std::size_t begin, std::size_t entries) {
            for (std::size_t k = 0; k < entries; ++k) moved_[begin + (k + 1) * element - 1] ^= std::byte{0x80};
        };
        if (axis_ == 0) {
            moved_ = original_;
            if (negated(block)) flip(0, count * columns_);
            return;
        }
        for (std::size_t r = 0; r < count; ++r)
            for (std::size_t u = 0; u < map_.from.size(); ++u) {
                const std::size_t to = (r * columns_ + u * map_.unit) * element;
                std::memcpy(&moved_[to], &original_[(r * columns_ + map_.from[u] * map_.unit) * element],
                            map_.unit * element);
                if (negated(u)) flip(to, map_.unit);
            }
    }

    // One unit of `width` entries beside each other for each of its rows: out = matrix (or scale) times in.
    void unit(std::size_t u, std::span<const double> in, double* out, std::size_t width) const {
        const std::size_t n = map_.unit;
        if (map_.matrices.empty()) {
            const double scale = map_.scale.empty() ? 1 : map_.scale[u];
            for (std::size_t k = 0; k < n * width; ++k) out[k] = scale * in[k];
            return;
        }
        const small::Matrix result = small::product(map_.matrix(u), in, n, n, width);
        std::ranges::copy(result, out);
    }

    void compute(std::size_t block, std::size_t count) const {
        values_.resize(count * columns_), results_.resize(count * columns_);
        loadDoubles(original_, dtype_, values_);
        const std::span<const double> values(values_);
        if (axis_ == 0) {
            unit(block, values, results_.data(), columns_);
        } else {
            for (std::size_t r = 0; r < count; ++r)
                for (std::size_t u = 0; u < map_.from.size(); ++u)
                    unit(u, values.subspan(r * columns_ + map_.from[u] * map_.unit, map_.unit),
                         &results_[r * columns_ + u * map_.unit], 1);
        }
        storeDoubles(results_, dtype_, moved_);
    }

    std::shared_ptr<const ByteSource> in_;
    Dtype dtype_;
    std::size_t axis_;
    UnitMap map_;
    std::size_t rows_, columns_, blockRows_;
    mutable std::optional<std::size_t> made_;
    mutable std::vector<std::byte> original_, moved_;
    mutable std::vector<double> values_, results_;
};

}  // namespace

std::shared_ptr<const ByteSource> movedUnits(std::shared_ptr<const ByteSource> in, const TensorInfo& info,
                                             std::size_t axis, UnitMap map, const std::string& where) {
    if (!isArithmetic(info.dtype))
        throw Error(
            ErrorCode::wrongDtype, where,
            "is " + std::string(name(info.dtype)) +
                ", and hidden axes move in F16, BF16, F32 or F64; dequantise it first (transport --dequantize)");
    const std::uint64_t length = map.unit * map.from.size();
    if (info.shape.empty() || info.shape.size() > 2 || axis >= info.shape.size() || info.shape[axis] != length)
        throw Error(ErrorCode::shapeMismatch, where,
                    "has shape " + toString(info.shape) + ", and the hidden gauge moves axis " + std::to_string(axis) +
                        " of length " + std::to_string(length));
    return std::make_shared<MovedUnits>(std::move(in), info, axis, std::move(map));
}

}  // namespace regauge

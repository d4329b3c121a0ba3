#include "io/strided.hpp"

#include <algorithm>

#include "io/bytes.hpp"
#include "regauge/io/within.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostInMemory = std::uint64_t{1} << 30;

class GatheredSource final : public ByteSource {
public:
    GatheredSource(std::vector<std::byte> part, StridedView view, std::string name)
        : part_(std::move(part)), view_(std::move(view)), name_(std::move(name)) {}
    std::uint64_t size() const override { return view_.count() * view_.elementSize; }
    const std::string& name() const override { return name_; }
    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        requireWithin(*this, offset, into.size());
        if (into.empty()) return;
        const std::size_t width = view_.elementSize;
        const std::uint64_t first = offset / width;
        const std::uint64_t last = (offset + into.size() - 1) / width;
        std::size_t skip = static_cast<std::size_t>(offset % width);
        std::byte* to = into.data();
        std::size_t left = into.size();
        forEachElement(view_, first, last - first + 1, [&](std::uint64_t element) {
            const std::size_t count = std::min(width - skip, left);
            std::memcpy(to, part_.data() + static_cast<std::size_t>(element) * width + skip, count);
            to += count;
            left -= count;
            skip = 0;
        });
    }

private:
    std::vector<std::byte> part_;
    StridedView view_;
    std::string name_;
};

}  // namespace

std::uint64_t StridedView::count() const { return elementCount(shape).value_or(0); }

std::optional<std::uint64_t> StridedView::end() const {
    constexpr std::uint64_t most = std::uint64_t{1} << 62;
    if (count() == 0) return offset;
    std::uint64_t last = offset;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        if (last > most || (strides[axis] != 0 && shape[axis] - 1 > (most - last) / strides[axis])) return std::nullopt;
        last += (shape[axis] - 1) * strides[axis];
    }
    return last + 1;
}

bool StridedView::isContiguous() const {
    if (count() == 0) return true;
    std::uint64_t expected = 1;
    for (std::size_t axis = shape.size(); axis-- > 0; expected *= shape[axis]) {
        if (shape[axis] != 1 && strides[axis] != expected) return false;
    }
    return true;
}

std::unique_ptr<ByteSource> stridedSource(const ByteSource& storage, const StridedView& view, const std::string& name) {
    const std::uint64_t width = view.elementSize;
    const std::uint64_t bytes = (view.end().value_or(view.offset) - view.offset) * width;
    if (bytes > mostInMemory) {
        throw Error(ErrorCode::tooLarge, name,
                    "a strided view over " + std::to_string(bytes) +
                        " bytes; save it with .contiguous().clone() and try again");
    }
    StridedView inPart = view;
    inPart.offset = 0;
    return std::make_unique<GatheredSource>(readBytes(storage, view.offset * width, bytes), std::move(inPart), name);
}

}  // namespace regauge

// Views into a storage by offset and strides, as .pt files hold them, read and written as if they were contiguous.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

// Element [i, j, ..] is storage element offset + i * strides[0] + j * strides[1] + ..
struct StridedView {
    std::uint64_t offset = 0;
    Shape shape;
    std::vector<std::uint64_t> strides;
    std::size_t elementSize = 1;

    std::uint64_t count() const;
    // One past the last storage element that it touches, or nothing where that overflows; `offset` for an empty view.
    std::optional<std::uint64_t> end() const;
    bool isContiguous() const;
    bool operator==(const StridedView&) const = default;
};

// Calls fn(storage element) for the logical elements [first, first + count) in row-major order.
template <class Fn>
void forEachElement(const StridedView& view, std::uint64_t first, std::uint64_t count, Fn&& fn) {
    if (count == 0) return;
    const std::size_t axes = view.shape.size();
    std::vector<std::uint64_t> at(axes, 0);
    std::uint64_t element = view.offset;
    for (std::size_t axis = axes; axis-- > 0; first /= view.shape[axis]) {
        at[axis] = first % view.shape[axis];
        element += at[axis] * view.strides[axis];
    }
    for (;;) {
        fn(element);
        if (--count == 0) return;
        for (std::size_t axis = axes; axis-- > 0;) {
            element += view.strides[axis];
            if (++at[axis] < view.shape[axis]) break;
            element -= view.strides[axis] * view.shape[axis];
            at[axis] = 0;
        }
    }
}

// The view's logical bytes. `storage` holds the whole storage; the part that the view touches is read into memory.
std::unique_ptr<ByteSource> stridedSource(const ByteSource& storage, const StridedView& view, const std::string& name);

}  // namespace regauge

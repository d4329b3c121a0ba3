// Tables of a FlatBuffer, as Arrow's messages are made of them, read where they lie: no offset is followed before it is
// known to end inside the buffer. Google's FlatBuffers, "Internals": https://flatbuffers.dev/internals/.
//
//   buffer:  u32 -> root table
//   table:   i32 back to its vtable | fields where the vtable says
//   vtable:  u16 its bytes, u16 the table's bytes, then for each field u16 from the table's start, 0 where absent
//   field:   a number in place; or u32 from the field to a string or vector (u32 count, elements) or another table
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "io/bytes.hpp"

namespace regauge {

// The bytes of one FlatBuffer, and what to call them in a refusal. Both are borrowed.
struct FlatBuffer {
    std::span<const std::byte> bytes;
    const std::string* where;

    // [at, at + count). Throws Error(malformed) where that is not inside.
    const std::byte* within(std::uint64_t at, std::uint64_t count) const;
};

// `count` elements of `stride` bytes each, beginning at `first`, all inside the buffer.
struct FlatVector {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
};

class FlatTable {
public:
    // The root. Throws Error(malformed), as everything below does.
    static FlatTable root(const FlatBuffer& buffer);

    bool has(unsigned field) const { return place(field).has_value(); }
    // The number in a field, or `otherwise` where it is absent.
    template <class T>
    T number(unsigned field, T otherwise) const {
        const std::optional<std::uint64_t> at = place(field);
        return at ? loadLittle<T>(buffer_.within(*at, sizeof(T))) : otherwise;
    }
    std::string_view text(unsigned field) const;  // "" where it is absent
    std::optional<FlatTable> table(unsigned field) const;
    FlatVector vector(unsigned field, std::size_t stride) const;  // empty where it is absent
    FlatTable tableIn(const FlatVector& vector, std::uint64_t index) const;
    const FlatBuffer& buffer() const { return buffer_; }

private:
    FlatTable(const FlatBuffer& buffer, std::uint64_t at);
    std::optional<std::uint64_t> place(unsigned field) const;
    std::uint64_t follow(std::uint64_t at) const;

    FlatBuffer buffer_;
    std::uint64_t at_;
    std::uint64_t vtable_;
    std::uint64_t vtableBytes_;
};

}  // namespace regauge

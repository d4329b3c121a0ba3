#include "io/flatbuffer.hpp"

namespace regauge {

const std::byte* FlatBuffer::within(std::uint64_t at, std::uint64_t count) const {
    if (at > bytes.size() || count > bytes.size() - at)
        throw Error(ErrorCode::malformed, *where, "a message of this Arrow file points beyond its own end");
    return bytes.data() + static_cast<std::size_t>(at);
}

FlatTable FlatTable::root(const FlatBuffer& buffer) { return {buffer, loadLittle<std::uint32_t>(buffer.within(0, 4))}; }

FlatTable::FlatTable(const FlatBuffer& buffer, std::uint64_t at) : buffer_(buffer), at_(at) {
    const auto back = static_cast<std::int32_t>(loadLittle<std::uint32_t>(buffer.within(at, 4)));
    const std::int64_t vtable = static_cast<std::int64_t>(at) - back;
    // A negative place becomes one beyond every end.
    vtable_ = static_cast<std::uint64_t>(vtable);
    vtableBytes_ = loadLittle<std::uint16_t>(buffer.within(vtable_, 4));
    buffer.within(vtable_, vtableBytes_);
}

std::optional<std::uint64_t> FlatTable::place(unsigned field) const {
    const std::uint64_t entry = 4 + 2 * std::uint64_t{field};
    if (entry + 2 > vtableBytes_) return std::nullopt;
    const std::uint16_t from = loadLittle<std::uint16_t>(buffer_.within(vtable_ + entry, 2));
    return from == 0 ? std::nullopt : std::optional(at_ + from);
}

std::uint64_t FlatTable::follow(std::uint64_t at) const {
    return at + loadLittle<std::uint32_t>(buffer_.within(at, 4));
}

std::string_view FlatTable::text(unsigned field) const {
    const FlatVector characters = vector(field, 1);
    const std::byte* const from = buffer_.within(characters.first, characters.count);
    return asText({from, static_cast<std::size_t>(characters.count)});
}

std::optional<FlatTable> FlatTable::table(unsigned field) const {
    const std::optional<std::uint64_t> at = place(field);
    return at ? std::optional(FlatTable(buffer_, follow(*at))) : std::nullopt;
}

FlatVector FlatTable::vector(unsigned field, std::size_t stride) const {
    const std::optional<std::uint64_t> at = place(field);
    if (!at) return {};
    const std::uint64_t head = follow(*at);
    const FlatVector found{head + 4, loadLittle<std::uint32_t>(buffer_.within(head, 4))};
    buffer_.within(found.first, found.count * stride);
    return found;
}

FlatTable FlatTable::tableIn(const FlatVector& vector, std::uint64_t index) const {
    return {buffer_, follow(vector.first + 4 * index)};
}

}  // namespace regauge

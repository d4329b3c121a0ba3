// Small pieces that every reader and writer of a container uses: numbers in bytes, parts of a source, counted sinks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/error.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

template <class T>
T loadLittle(const std::byte* from) {
    T value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;)
        value = static_cast<T>(static_cast<std::uint64_t>(value) << 8 | std::to_integer<std::uint64_t>(from[i]));
    return value;
}

template <class T>
void storeLittle(T value, std::byte* to) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
        to[i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
}

inline std::span<const std::byte> asBytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view asText(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "model.safetensors: model.norm.weight"; the file alone where the tensor has no name.
inline std::string placeOf(const std::string& file, const std::string& tensor) {
    return tensor.empty() ? file : file + ": " + tensor;
}

// The bytes of `count` elements of that shape; nothing where they do not fit 63 bits.
std::optional<std::uint64_t> byteCount(Dtype dtype, const Shape& shape);

// Reads [offset, offset + count); the range is checked before anything is allocated.
std::vector<std::byte> readBytes(const ByteSource& source, std::uint64_t offset, std::uint64_t count);

// A place to make the next `count` bytes for `out`: its own room, or else in `otherwise`.
std::span<std::byte> roomIn(ByteSink& out, std::size_t count, std::vector<std::byte>& otherwise);

// Copies [offset, offset + count) in blocks.
void copyBytes(const ByteSource& source, std::uint64_t offset, std::uint64_t count, ByteSink& out);

// [offset, offset + size) of another source, under its own name. Throws Error(truncated) where that lies outside.
class SliceSource final : public ByteSource {
public:
    SliceSource(std::shared_ptr<const ByteSource> whole, std::uint64_t offset, std::uint64_t size, std::string name);
    std::uint64_t size() const override { return size_; }
    void read(std::uint64_t offset, std::span<std::byte> into) const override;
    const std::string& name() const override { return name_; }

private:
    std::shared_ptr<const ByteSource> whole_;
    std::uint64_t offset_;
    std::uint64_t size_;
    std::string name_;
};

// Bytes that it owns.
class OwnedSource final : public ByteSource {
public:
    OwnedSource(std::string name, std::vector<std::byte> bytes)
        : bytes_(std::move(bytes)), view_(std::move(name), bytes_) {}
    OwnedSource(const OwnedSource&) = delete;
    OwnedSource& operator=(const OwnedSource&) = delete;
    std::uint64_t size() const override { return view_.size(); }
    void read(std::uint64_t offset, std::span<std::byte> into) const override { view_.read(offset, into); }
    const std::string& name() const override { return view_.name(); }

private:
    std::vector<std::byte> bytes_;
    MemorySource view_;
};

// Collects into memory.
class MemorySink final : public ByteSink {
public:
    void write(std::span<const std::byte> bytes) override { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    const std::vector<std::byte>& bytes() const { return bytes_; }
    std::vector<std::byte> take() { return std::move(bytes_); }

private:
    std::vector<std::byte> bytes_;
};

// Passes on exactly `expected` bytes: whoever moves a tensor may neither lengthen nor shorten it, or the container
// would no longer fit.
class ExactSink final : public ByteSink {
public:
    ExactSink(ByteSink& out, std::uint64_t expected, std::string where)
        : out_(out), expected_(expected), where_(std::move(where)) {}
    void write(std::span<const std::byte> bytes) override;
    std::span<std::byte> room(std::size_t count) override { return out_.room(count); }
    void finish() const;

private:
    ByteSink& out_;
    std::uint64_t expected_;
    std::uint64_t written_ = 0;
    std::string where_;
};

}  // namespace regauge

// CRC-32 as zip uses it (IEEE 802.3, reflected); zlib's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "regauge/io/byte_source.hpp"

namespace regauge {

class Crc32 {
public:
    void update(std::span<const std::byte> bytes);
    std::uint32_t value() const { return value_; }

private:
    std::uint32_t value_ = 0;
};

// Sums and counts what passes through; `out` may be null.
class CrcSink final : public ByteSink {
public:
    explicit CrcSink(ByteSink* out) : out_(out) {}
    void write(std::span<const std::byte> bytes) override {
        crc_.update(bytes);
        count_ += bytes.size();
        if (out_ != nullptr) out_->write(bytes);
    }
    std::uint32_t crc() const { return crc_.value(); }
    std::uint64_t count() const { return count_; }

private:
    ByteSink* out_;
    Crc32 crc_;
    std::uint64_t count_ = 0;
};

}  // namespace regauge

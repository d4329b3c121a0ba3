// A file put together from parts of others: for what is to be read as a file, and is nowhere stored as one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"

namespace regauge {

class ComposedSource final : public ByteSource {
public:
    explicit ComposedSource(std::string name) : name_(std::move(name)) {}

    void add(std::shared_ptr<const ByteSource> part);
    void addZeros(std::uint64_t count);

    std::uint64_t size() const override { return ends_.empty() ? 0 : ends_.back(); }
    void read(std::uint64_t offset, std::span<std::byte> into) const override;
    const std::string& name() const override { return name_; }

private:
    std::string name_;
    std::vector<std::shared_ptr<const ByteSource>> parts_;
    std::vector<std::uint64_t> ends_;
};

}  // namespace regauge

#include "regauge/io/byte_source.hpp"

#include <cstring>

#include "io/bytes.hpp"
#include "regauge/error.hpp"
#include "sha256.hpp"

namespace regauge {

std::string ByteSource::sha256() const {
    class HashSink final : public ByteSink {
    public:
        Sha256 hash;
        void write(std::span<const std::byte> bytes) override { hash.update(bytes); }
    } sink;
    copyBytes(*this, 0, size(), sink);
    return sink.hash.hex();
}

void MemorySource::read(std::uint64_t offset, std::span<std::byte> into) const {
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
        throw Error(ErrorCode::truncated, name_,
                    "expected " + std::to_string(into.size()) + " bytes at offset " + std::to_string(offset) + ", but the file ends at " + std::to_string(bytes_.size()));
    }
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + static_cast<std::size_t>(offset), into.size());
}

}  // namespace regauge

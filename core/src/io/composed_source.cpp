#include "io/composed_source.hpp"

#include <algorithm>

#include "io/bytes.hpp"
#include "regauge/io/within.hpp"

namespace regauge {

void ComposedSource::add(std::shared_ptr<const ByteSource> part) {
    ends_.push_back(size() + part->size());
    parts_.push_back(std::move(part));
}

void ComposedSource::addZeros(std::uint64_t count) {
    add(std::make_shared<OwnedSource>(name_, std::vector<std::byte>(static_cast<std::size_t>(count))));
}

void ComposedSource::read(std::uint64_t offset, std::span<std::byte> into) const {
    requireWithin(*this, offset, into.size());
    while (!into.empty()) {
        const auto part =
            static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), offset) - ends_.begin());
        const std::uint64_t within = offset - (ends_[part] - parts_[part]->size());
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), ends_[part] - offset));
        parts_[part]->read(within, into.first(count));
        into = into.subspan(count);
        offset += count;
    }
}

}  // namespace regauge

#include "tile_sums.hpp"

#include <algorithm>
#include <vector>

namespace regauge {

TileSums::TileSums(std::size_t d, Shape shape, int limit) : shape_(shape), panels_(kernels::panelsOf(d)), limit_(limit) { narrow_.resize(tiles() * kernels::tileSize); }

void TileSums::makeRoomFor(std::uint64_t rows) {
    if (wide_ || rows <= narrowRows(limit_)) return;
    wideSums_.assign(narrow_.begin(), narrow_.end());
    narrow_ = {};
    wide_ = true;
}

void TileSums::add(const TileSums& other) {
    const std::size_t count = tiles() * kernels::tileSize;
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t more = other.wide_ ? other.wideSums_[i] : other.narrow_[i];
        if (wide_) {
            wideSums_[i] += more;
        } else {
            narrow_[i] += static_cast<std::int32_t>(more);
        }
    }
}

void TileSums::replace(const std::function<void(std::span<std::int64_t>)>& fn) {
    constexpr std::size_t valuesAtOnce = std::size_t{1} << 20;
    const std::size_t count = tiles() * kernels::tileSize;
    std::vector<std::int64_t> block;
    for (std::size_t first = 0; first < count; first += valuesAtOnce) {
        const std::size_t here = std::min(valuesAtOnce, count - first);
        if (wide_) {
            fn({wideSums_.data() + first, here});
            continue;
        }
        const std::span<std::int32_t> narrow(narrow_.data() + first, here);
        block.assign(narrow.begin(), narrow.end());
        fn(block);
        std::ranges::transform(block, narrow.begin(), [](std::int64_t value) { return static_cast<std::int32_t>(value); });
    }
}

}  // namespace regauge

#include "tile_sums.hpp"

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

}  // namespace regauge

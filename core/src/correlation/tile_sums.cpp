#include "correlation/tile_sums.hpp"

#include <algorithm>
#include <vector>

#include "base/parallel.hpp"

namespace regauge {

namespace {

// fn(first, last) for stretches of `count` sums.
template <class Fn>
void forStretches(std::size_t count, unsigned threads, Fn&& fn) {
    constexpr std::size_t stretch = std::size_t{1} << 18;
    constexpr double sumsPerMicrosecond = 2000;
    parallelFor(threadsWorth(threads, static_cast<double>(count) / sumsPerMicrosecond), (count + stretch - 1) / stretch,
                [&](std::size_t k) { fn(k * stretch, std::min(count, (k + 1) * stretch)); });
}

}  // namespace

TileSums::TileSums(std::size_t d, Shape shape, int limit)
    : shape_(shape), panels_(kernels::panelsOf(d)), limit_(limit) {}

void TileSums::makeRoomFor(std::uint64_t rows, unsigned threads) {
    if (wide_) return;
    const std::size_t count = tiles() * kernels::tileSize;
    if (rows <= narrowRows(limit_)) {
        if (!narrow_.empty()) return;
        narrow_.resize(count);
        return forStretches(count, threads, [&](std::size_t first, std::size_t last) {
            std::fill(narrow_.data() + first, narrow_.data() + last, 0);
        });
    }
    wideSums_.resize(count);
    forStretches(count, threads, [&](std::size_t first, std::size_t last) {
        for (std::size_t k = first; k < last; ++k) wideSums_[k] = narrow_.empty() ? 0 : narrow_[k];
    });
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
        std::ranges::transform(block, narrow.begin(),
                               [](std::int64_t value) { return static_cast<std::int32_t>(value); });
    }
}

}  // namespace regauge

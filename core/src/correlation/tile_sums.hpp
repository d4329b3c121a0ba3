// Sums of products over pairs of channels, in tiles of 32 x 32: 32-bit integers while the number of rows rules out an
// overflow, 64-bit after that.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "kernels/aligned_buffer.hpp"
#include "kernels/panel.hpp"

namespace regauge {

// A d x d matrix of integers. `lower` keeps only the tiles on and below the diagonal, for symmetric sums. A tile is 4
// KiB of 32-bit sums: one page, so that a kernel that adds to it misses neither cache lines nor address translations.
class TileSums {
public:
    enum class Shape { full, lower };

    // No room yet. d = 0: no tiles. limit: of the factors, in size.
    TileSums(std::size_t d, Shape shape, int limit);

    // Sums of this many rows fit 32 bits: rows * limit^2 < 2^31. At least 2^13.
    static constexpr std::uint64_t narrowRows(int limit) {
        return 2147483647 / (static_cast<std::uint64_t>(limit) * static_cast<std::uint64_t>(limit));
    }

    Shape shape() const { return shape_; }
    std::size_t panels() const { return panels_; }
    std::size_t tiles() const { return shape_ == Shape::full ? panels_ * panels_ : panels_ * (panels_ + 1) / 2; }
    std::size_t tileIndex(std::size_t i, std::size_t j) const {
        return shape_ == Shape::full ? i * panels_ + j : i * (i + 1) / 2 + j;
    }
    bool wide() const { return wide_; }

    // To be called before sums of `rows` rows in total are held or read: makes room at first, and widens when 32 bits
    // would no longer do.
    void makeRoomFor(std::uint64_t rows, unsigned threads);

    // Row-major 32 x 32. Only the one that wide() says.
    std::int32_t* narrowTile(std::size_t index) { return narrow_.data() + index * kernels::tileSize; }
    const std::int32_t* narrowTile(std::size_t index) const { return narrow_.data() + index * kernels::tileSize; }
    std::int64_t* wideTile(std::size_t index) { return wideSums_.data() + index * kernels::tileSize; }
    const std::int64_t* wideTile(std::size_t index) const { return wideSums_.data() + index * kernels::tileSize; }
    // Either.
    std::int64_t at(std::size_t index, std::size_t entry) const {
        return wide_ ? wideTile(index)[entry] : narrowTile(index)[entry];
    }

    // Adds another's sums, after makeRoomFor. Same d and shape.
    void add(const TileSums& other);

    // Lets fn change the values in place, block after block in the order of the tiles, as 64-bit integers.
    void replace(const std::function<void(std::span<std::int64_t>)>& fn);

private:
    Shape shape_;
    std::size_t panels_;
    int limit_;
    bool wide_ = false;
    kernels::UnclearedVector<std::int32_t> narrow_;  // cleared by the threads that share it
    kernels::UnclearedVector<std::int64_t> wideSums_;
};

}  // namespace regauge

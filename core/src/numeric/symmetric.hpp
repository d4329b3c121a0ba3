// A symmetric matrix by its lower triangle: half the memory of a full one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace regauge {

class Symmetric {
public:
    Symmetric() = default;
    explicit Symmetric(std::size_t d) : d_(d), lower_(d * (d + 1) / 2, 0.0F) {}
    // full: d x d, of which the lower triangle is read.
    Symmetric(std::span<const float> full, std::size_t d) : Symmetric(d) {
        for (std::size_t i = 0; i < d; ++i) std::copy_n(&full[i * d], i + 1, lower(i));
    }

    std::size_t d() const { return d_; }
    // [i, 0 .. i].
    float* lower(std::size_t i) { return lower_.data() + i * (i + 1) / 2; }
    const float* lower(std::size_t i) const { return lower_.data() + i * (i + 1) / 2; }

    // Rows [first, first + count) whole: count x d.
    void rows(std::size_t first, std::size_t count, float* out) const {
        const std::size_t end = first + count;
        for (std::size_t i = first; i < end; ++i) std::copy_n(lower(i), i + 1, out + (i - first) * d_);
        // Right of the diagonal, rows of the triangle become columns, a square at a time, so that both sides stay in
        // cache.
        constexpr std::size_t side = 32;
        for (std::size_t below = first; below < d_; below += side) {
            for (std::size_t across = first; across < std::min(end, below + side); across += side) {
                for (std::size_t j = below; j < std::min(d_, below + side); ++j) {
                    const float* row = lower(j);
                    for (std::size_t i = across; i < std::min({end, across + side, j}); ++i)
                        out[(i - first) * d_ + j] = row[i];
                }
            }
        }
    }

    // Calls fn(first, count, rows) for blocks of whole rows that together are the matrix.
    template <class Fn>
    void forRowBlocks(Fn&& fn) const {
        constexpr std::size_t mostRows = 1024;
        std::vector<float> block(std::min(mostRows, d_) * d_);
        for (std::size_t first = 0; first < d_; first += mostRows) {
            const std::size_t count = std::min(mostRows, d_ - first);
            rows(first, count, block.data());
            fn(first, count, static_cast<const float*>(block.data()));
        }
    }

private:
    std::size_t d_ = 0;
    std::vector<float> lower_;
};

}  // namespace regauge

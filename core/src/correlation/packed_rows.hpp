// Quantised rows of one side, waiting to be multiplied.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/aligned_buffer.hpp"
#include "kernels/integer_dot.hpp"

namespace regauge {

// Rows in blocks, a block in panels, a panel in groups of rows (kernels/panel.hpp). A panel of a block is 8 KiB: it
// stays in the first-level cache while a panel of the other side passes it.
class PackedRows {
public:
    static constexpr std::size_t groupsPerBlock = 64;
    static constexpr std::size_t panelWords = groupsPerBlock * kernels::panelWidth;

    // Room for at most `rows` rows of d channels, `rowsPerWord` in a word.
    PackedRows(std::size_t d, std::size_t rows, std::size_t rowsPerWord)
        : panels_(kernels::panelsOf(d)),
          rowsPerWord_(rowsPerWord),
          blocks_((rows + rowsPerBlock() - 1) / rowsPerBlock()) {
        words_.resize(blocks_ * panels_ * panelWords);
        sums_.resize(blocks_ * panels_ * kernels::panelWidth);
        squares_.resize(sums_.size());
        runs_.resize(blocks_ * panels_);
    }

    std::size_t rowsPerWord() const { return rowsPerWord_; }
    std::size_t rowsPerBlock() const { return groupsPerBlock * rowsPerWord_; }
    std::size_t capacity() const { return blocks_ * rowsPerBlock(); }
    std::size_t panels() const { return panels_; }

    std::uint32_t* panel(std::size_t block, std::size_t panel) {
        return words_.data() + (block * panels_ + panel) * panelWords;
    }
    const std::uint32_t* panel(std::size_t block, std::size_t panel) const {
        return words_.data() + (block * panels_ + panel) * panelWords;
    }
    // Where the group that starts with this row goes in the first panel; the next panel is panelWords further.
    std::uint32_t* group(std::size_t row) {
        return panel(row / rowsPerBlock(), 0) + row % rowsPerBlock() / rowsPerWord_ * kernels::panelWidth;
    }

    // Sums and sums of squares of a panel's channels over the rows of a block.
    std::int32_t* sums(std::size_t block, std::size_t panel) {
        return sums_.data() + (block * panels_ + panel) * kernels::panelWidth;
    }
    const std::int32_t* sums(std::size_t block, std::size_t panel) const {
        return sums_.data() + (block * panels_ + panel) * kernels::panelWidth;
    }
    std::int32_t* squares(std::size_t block, std::size_t panel) {
        return squares_.data() + (block * panels_ + panel) * kernels::panelWidth;
    }

    // Of how many groups a panel's products may be added in 16 bits (IntegerDot::sums).
    unsigned& run(std::size_t block, std::size_t panel) { return runs_[block * panels_ + panel]; }
    unsigned run(std::size_t block, std::size_t panel) const { return runs_[block * panels_ + panel]; }

    // Groups in use in a block when the first `rows` rows are filled.
    std::size_t groupsIn(std::size_t block, std::size_t rows) const {
        const std::size_t here = std::min(rows - std::min(rows, block * rowsPerBlock()), rowsPerBlock());
        return (here + rowsPerWord_ - 1) / rowsPerWord_;
    }
    std::size_t blocksIn(std::size_t rows) const { return (rows + rowsPerBlock() - 1) / rowsPerBlock(); }

private:
    std::size_t panels_;
    std::size_t rowsPerWord_;
    std::size_t blocks_;
    kernels::UnclearedVector<std::uint32_t> words_;  // packing writes whole groups
    kernels::AlignedVector<std::int32_t> sums_;
    kernels::AlignedVector<std::int32_t> squares_;
    std::vector<unsigned> runs_;
};

}  // namespace regauge

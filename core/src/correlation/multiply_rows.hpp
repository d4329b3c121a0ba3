// The product of quantised rows with quantised rows: where nearly all the time of an alignment goes.
#pragma once

#include <cstddef>
#include <span>

#include "base/parallel.hpp"
#include "correlation/packed_rows.hpp"
#include "correlation/tile_sums.hpp"
#include "kernels/integer_dot.hpp"

namespace regauge {

// out[i, j] += sum over rows of a_i b_j. For symmetric sums a and b are the same and out holds the lower tiles.
struct RowProduct {
    const PackedRows* a;
    const PackedRows* b;
    TileSums* out;
};

// Fills in sums and squares of the first `rows` rows; multiplyRows needs them.
void sumChannels(PackedRows& packed, std::size_t rows, const kernels::IntegerDot& kernel, unsigned threads);

// Does all the products over the first `rows` rows (few enough for 32-bit sums). `out` must have room.
void multiplyRows(std::span<const RowProduct> products, std::size_t rows, const kernels::IntegerDot& kernel,
                  unsigned threads, const Beside& beside = {});

}  // namespace regauge

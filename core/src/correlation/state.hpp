// What CorrelationSums holds.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.hpp"
#include "correlation/packed_rows.hpp"
#include "correlation/tile_sums.hpp"
#include "kernels/aligned_buffer.hpp"
#include "kernels/isa.hpp"
#include "regauge/correlation.hpp"

namespace regauge {

// What one side sums over half of the rows. Vectors are padded to whole panels with zeros.
struct ChannelSums {
    std::vector<std::int64_t> sums;     // of q, by channel
    std::vector<std::int64_t> squares;  // of q^2
};

// One side: its quantizer, as given and as the kernels want it, and the sums that concern it alone.
struct CorrelationSide {
    CorrelationSide(Quantizer given, bool withGram);

    Quantizer quantizer;
    kernels::AlignedVector<float> centre;
    kernels::AlignedVector<float> inverseStep;
    std::array<ChannelSums, 2> half;
    TileSums gram;                      // of q q' over all rows; empty unless wanted
    std::vector<std::int64_t> massive;  // [d], over the rows set aside
};

// One half of the rows: the sums over both sides, and quantised rows that wait to be multiplied.
struct CorrelationHalf {
    CorrelationHalf(std::size_t d, int limit) : cross(d, TileSums::Shape::full, limit) {}

    std::uint64_t rows = 0;  // with those that wait
    TileSums cross;          // of q_y[i] q_x[j]
    std::optional<PackedRows> waitingX, waitingY;
    std::size_t waiting = 0;  // rows in them, whole groups
};

struct CorrelationSums::State {
    State(Quantizer x, Quantizer y, bool withGram);
    State(const State& other);  // of settled sums

    std::uint64_t rows() const { return half[0].rows + half[1].rows; }

    // Multiplies the waiting rows and lets go of their memory; there is room for the sums then, with or without rows.
    // Rows wait so that a call of add()
    // with few rows costs no pass over all the sums.
    void settle(const Beside& beside = {});
    // Adds a massive row to the sums of massive rows.
    void sumMassive(const RowsView& rowsX, const RowsView& rowsY, std::size_t row);
    // Multiplies the waiting rows of one half.
    void flush(std::size_t half, const Beside& beside);
    // Quantises these rows of one half. Returns the first that holds NaN or infinity, and adds none from there on.
    std::optional<std::size_t> addTo(std::size_t half, std::span<const std::size_t> taken, const RowsView& rowsX,
                                     const RowsView& rowsY, const Beside& beside);

    std::size_t d;
    bool withGram;
    int limit;
    std::uint64_t setAside = 0;
    CorrelationSide x;
    CorrelationSide y;
    std::array<CorrelationHalf, 2> half;

    kernels::Isa isa = kernels::Isa::scalar;  // of the waiting rows: their layout depends on it
    unsigned threads = 1;                     // as last asked for
    std::mutex settling;                      // reading settles, and several may read at a time
};

}  // namespace regauge

// What CorrelationSums holds.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kernels/aligned_buffer.hpp"
#include "kernels/isa.hpp"
#include "packed_rows.hpp"
#include "regauge/correlation.hpp"
#include "tile_sums.hpp"

namespace regauge {

// One side: its quantizer, as given and as the kernels want it, and the sums that concern it alone. Vectors are padded to whole panels with zeros.
struct CorrelationSide {
    CorrelationSide(Quantizer given, bool withGram);

    Quantizer quantizer;
    kernels::AlignedVector<float> centre;
    kernels::AlignedVector<float> inverseStep;
    std::vector<std::int64_t> sums;     // of q, by channel
    std::vector<std::int64_t> squares;  // of q^2
    TileSums gram;                      // of q q'; empty unless wanted
    std::optional<PackedRows> packed;   // rows that wait to be multiplied
};

struct CorrelationSums::State {
    State(Quantizer x, Quantizer y, bool withGram);
    State(const State& other);  // of settled sums

    // Multiplies the waiting rows and lets go of their memory. Rows wait so that a call of add() with few rows costs no pass over all the sums.
    void settle();
    // Multiplies the waiting rows.
    void flush();

    std::size_t d;
    bool withGram;
    std::uint64_t rows = 0;  // with those that wait
    std::uint64_t setAside = 0;
    CorrelationSide x;
    CorrelationSide y;
    TileSums cross;  // of q_y[i] q_x[j]

    kernels::Isa isa = kernels::Isa::scalar;  // of the waiting rows: their layout depends on it
    std::size_t waiting = 0;                  // rows in packed, whole groups
    unsigned threads = 1;                     // as last asked for
    std::mutex settling;                      // reading settles, and several may read at a time
};

}  // namespace regauge

// From float rows to panels of integers (panel.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.hpp"
#include "kernels/panel.hpp"
#include "regauge/tensor.hpp"

namespace regauge::kernels {

struct Quantize {
    // About sum of (scale * x)^2 over a row of d elements, in float32: within 0.1 % for d up to 2^18, in whatever order
    // is fast.
    // NaN or infinite where an element is (or where the sum overflows).
    float (*sumOfSquares)(const std::byte* row, Dtype dtype, std::size_t d, float scale);

    // Quantises `rowsPerWord` (2 or 4) rows of finite elements into one group of each panel:
    //   q = clamp(roundToNearestEven((x - centre) * inverseStep), -limit, limit), in float32. Four rows in a word:
    //   limit <= 127.
    // rows[k]: a row, or null for zeros. centre, inverseStep: [panelsOf(d) * 32], zeros past d. The word of channel j
    // goes to out[(j / 32) * panelStride + j % 32].
    void (*pack)(const std::byte* const* rows, std::size_t rowsPerWord, Dtype dtype, const float* centre,
                 const float* inverseStep, int limit, std::size_t d, std::uint32_t* out, std::size_t panelStride);
};

Quantize quantize(Isa isa);

// The definition.
Quantize quantizeReference();

}  // namespace regauge::kernels

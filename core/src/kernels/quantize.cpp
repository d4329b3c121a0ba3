#include "kernels/quantize.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/element.hpp"

namespace regauge::kernels {

namespace {

float elementAt(const std::byte* row, Dtype dtype, std::size_t j) {
    switch (dtype) {
        case Dtype::F16: return element<Dtype::F16>(row + 2 * j);
        case Dtype::BF16: return element<Dtype::BF16>(row + 2 * j);
        case Dtype::F64: return element<Dtype::F64>(row + 8 * j);
        default: return element<Dtype::F32>(row + 4 * j);
    }
}

float referenceSumOfSquares(const std::byte* row, Dtype dtype, std::size_t d, float scale) {
    double sum = 0;
    for (std::size_t j = 0; j < d; ++j) {
        const double x = static_cast<double>(elementAt(row, dtype, j)) * static_cast<double>(scale);
        sum += x * x;
    }
    return static_cast<float>(sum);
}

void referencePack(const std::byte* const* rows, std::size_t rowsPerWord, Dtype dtype, const float* centre,
                   const float* inverseStep, int limit, std::size_t d, std::uint32_t* out, std::size_t panelStride) {
    for (std::size_t j = 0; j < panelsOf(d) * panelWidth; ++j) {
        std::uint32_t word = 0;
        for (std::size_t k = 0; k < rowsPerWord; ++k) {
            if (rows[k] == nullptr || j >= d) continue;
            const float steps = (elementAt(rows[k], dtype, j) - centre[j]) * inverseStep[j];
            const float clamped = std::clamp(steps, -static_cast<float>(limit), static_cast<float>(limit));
            const auto q = static_cast<std::uint32_t>(static_cast<std::int32_t>(std::nearbyint(clamped)));
            word |= rowsPerWord == 4 ? (q & 0xffu) << (8 * k) : (q & 0xffffu) << (16 * k);
        }
        out[(j / panelWidth) * panelStride + j % panelWidth] = word;
    }
}

}  // namespace

#define REGAUGE_DECLARE(isa) \
    namespace isa {          \
    Quantize quantize();     \
    }
REGAUGE_COMPILED_ISAS(REGAUGE_DECLARE)
#undef REGAUGE_DECLARE

Quantize quantize(Isa isa) {
    switch (isa) {
#define REGAUGE_CASE(compiled) \
    case Isa::compiled: return compiled::quantize();
        REGAUGE_COMPILED_ISAS(REGAUGE_CASE)
#undef REGAUGE_CASE
        default: return quantizeReference();
    }
}

Quantize quantizeReference() { return {&referenceSumOfSquares, &referencePack}; }

}  // namespace regauge::kernels

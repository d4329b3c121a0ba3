// From integer sums to correlations, one instruction set a build (isa.hpp). Every element is computed on its own, so
// vectors change no bit.
#include "kernels/pearson.hpp"
#include "kernels/simd.hpp"

namespace regauge::kernels::REGAUGE_ISA {
namespace {

using Doubles = xsimd::batch<double>;
constexpr std::size_t width = Doubles::size;

void tile(const double* products, double n, PearsonEdge rows, PearsonEdge columns, double* r) {
    for (std::size_t i = 0; i < panelWidth; ++i) {
        for (std::size_t j = 0; j < panelWidth; j += width) {
            const Doubles product = Doubles::load_aligned(products + i * panelWidth + j);
            const Doubles covariance = Doubles(n) * product -
                                       Doubles(rows.sums[i]) * Doubles::load_aligned(columns.part + j) -
                                       Doubles(rows.part[i]) * Doubles::load_aligned(columns.sums + j);
            const Doubles variance = Doubles(rows.variances[i]) * Doubles::load_aligned(columns.variances + j);
            const Doubles ratio = covariance / xsimd::sqrt(variance);
            xsimd::select(variance > Doubles(0.0), ratio, Doubles(0.0)).store_aligned(r + i * panelWidth + j);
        }
    }
}

}  // namespace

PearsonTile pearsonTile() { return &tile; }

}  // namespace regauge::kernels::REGAUGE_ISA

#include "kernels/pearson.hpp"

#include <cmath>

namespace regauge::kernels {
namespace {

void referenceTile(const double* products, double n, PearsonEdge rows, PearsonEdge columns, double* r) {
    for (std::size_t i = 0; i < panelWidth; ++i) {
        for (std::size_t j = 0; j < panelWidth; ++j) {
            const double covariance =
                n * products[i * panelWidth + j] - rows.sums[i] * columns.part[j] - rows.part[i] * columns.sums[j];
            const double variance = rows.variances[i] * columns.variances[j];
            r[i * panelWidth + j] = variance > 0 ? covariance / std::sqrt(variance) : 0.0;
        }
    }
}

}  // namespace

#define REGAUGE_DECLARE(isa)   \
    namespace isa {            \
    PearsonTile pearsonTile(); \
    }
REGAUGE_COMPILED_ISAS(REGAUGE_DECLARE)
#undef REGAUGE_DECLARE

PearsonTile pearsonTile(Isa isa) {
    switch (isa) {
#define REGAUGE_CASE(compiled) \
    case Isa::compiled: return compiled::pearsonTile();
        REGAUGE_COMPILED_ISAS(REGAUGE_CASE)
#undef REGAUGE_CASE
        default: return pearsonTileReference();
    }
}

PearsonTile pearsonTileReference() { return &referenceTile; }

}  // namespace regauge::kernels

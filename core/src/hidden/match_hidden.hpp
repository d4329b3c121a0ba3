// Matching of hidden units where the residual gauge is known.
#pragma once

#include "hidden/checkpoint.hpp"
#include "regauge/hidden.hpp"

namespace regauge {

// Throws Error(tooLarge) where a gauge file of such a shape would have more numbers than are read.
void requireReadable(const HiddenShape& shape, const std::string& where);

// Throws Error: dimensionMismatch where the two are not of one architecture, tooLarge as requireReadable does.
void requireSameArchitecture(const HiddenCheckpoint& source, const HiddenCheckpoint& target);

struct HiddenMatch {
    HiddenGauge gauge;
    HiddenReport report;
};
// Throws Error(dimensionMismatch) where the two are not of one architecture, or the residual gauge not of their width.
HiddenMatch matchLayers(const HiddenCheckpoint& source, const HiddenCheckpoint& target, const Gauge& residual,
                        unsigned threads, const Progress& progress);

}  // namespace regauge

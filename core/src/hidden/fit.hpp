// The continuous part of a layer's hidden gauge, where it is known which unit is which: scales, turns and matrices.
#pragma once

#include "hidden/similarity.hpp"

namespace regauge {

// Fills neuronScale, turn, freeKeys and value of a layer whose permutations and signs are set, each only where it
// explains clearly more of the target than leaving it out. headNorms: queries and keys are normalised (Qwen 3, Gemma
// 3), which leaves of a turn only its sign.
void fitContinuous(const HiddenShape& shape, const LayerRows& source, const LayerRows& target, bool headNorms,
                   HiddenLayer& layer);

// The rows of a role, moved: what the target would have there if it were the source.
std::vector<double> movedRows(const HiddenShape& shape, const HiddenLayer& layer, HiddenRole role,
                              const HiddenRows& rows);

// The share of the target's squared weights that the source's, moved, explain: squared cosines by role, weighted by the
// target's squares; a negative cosine explains nothing.
struct Explained {
    double explained = 0, total = 0;
    double share() const { return total > 0 ? explained / total : 0; }
};
Explained explainedBy(const HiddenShape& shape, const HiddenLayer& layer, const LayerRows& source,
                      const LayerRows& target);

}  // namespace regauge

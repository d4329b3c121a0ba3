// From scores of units to which is which, exactly and in integers, and how sure that is.
#pragma once

#include <cstdint>
#include <vector>

#include "hidden/similarity.hpp"

namespace regauge {

// Which source unit stands at each target place, and what may be said of it.
struct Chosen {
    std::vector<std::uint32_t> source;
    std::vector<double> score, margin;  // per unit, as HiddenScores
    std::vector<bool> agree;            // both pieces of evidence alone like this pair best
    double chance = 0;                  // share that would agree if the two knew nothing of each other
};

// The permutation with the largest sum of scores. scale: the largest total() that a perfect pair can have.
Chosen chooseUnits(const UnitScores& scores, double scale, const Progress& progress = {});
// The same where units stay together in groups of perGroup, which move as a whole.
Chosen chooseGrouped(const UnitScores& scores, double scale, std::size_t perGroup);

// Confidence of units, of layers that are judged together; an empty list for a layer without units. From how often two
// pieces of evidence that share no weight agree, beyond chance: that share is rho; who agrees is right with rho / (rho
// + (1 - rho) chance), and who does not is believed as far as scores as high are rare among second best pairs.
std::vector<std::vector<double>> confidences(const std::vector<const Chosen*>& together);

}  // namespace regauge

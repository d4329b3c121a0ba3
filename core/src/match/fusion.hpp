// All statistics of all sites into one: scaled to be comparable, weighted by how well they separate, added before
// absolute values are taken, because the sign is shared between sites.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "match/massive_rows.hpp"
#include "match/refine.hpp"
#include "numeric/symmetric.hpp"
#include "scores/block.hpp"

namespace regauge {

// A site's plain correlations, for a second opinion (plain.hpp).
struct Witness {
    double weight = 0;  // of the site
    std::uint64_t rows = 0;
    Halves cross;
    Symmetric gramX, gramY;
};

// What accumulates over sites and statistics.
struct Fusion {
    std::optional<Block> alone;  // the only block with an advantage so far, or the best of those without
    Halves halves;     // of several: divided by their spreads and weighted by their squared advantage, signs and all
    double scale = 0;  // what a similarity of 1 in every block would add up to
    double best = -1e300;  // the largest advantage
    std::optional<std::pair<double, ScoreMatrix>>
        soft;  // the weakest whitening of the site with the largest weight, and that weight, while nothing is sure
    bool sure = false;                                                  // some block answers beyond doubt
    std::vector<std::pair<double, std::vector<Structure>>> structures;  // by the squared advantage of their site
    std::vector<Levels> levels;                                         // of every site
    std::optional<Witness> witness;  // of the site with the largest advantage, while nothing is sure
    std::vector<std::uint32_t> copiesX,
        copiesY;  // how many channels are indistinguishable from this one, itself included
};

void fuse(Fusion& fusion, Block block);

// The one block that is left, or all of them solved together. Takes it.
Block fused(Fusion& fusion, Group group, unsigned threads, const Progress& progress);

// Notes how many channels look like each channel, |r| above the threshold; the fewest over all sites.
void countCopies(std::vector<std::uint32_t>& copies, std::span<const float> gram, std::size_t d);

// Those of sites that have an advantage worth speaking of. Takes them.
std::vector<Structure> usefulStructures(Fusion& fusion);

}  // namespace regauge

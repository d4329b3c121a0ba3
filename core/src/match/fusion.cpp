#include "match/fusion.hpp"

#include <algorithm>
#include <cmath>

#include "match/policy.hpp"

namespace regauge {
namespace {

void accumulate(Fusion& fusion, Block block) {
    for (std::size_t k = 0; k < 2; ++k) {
        if (fusion.halves[k].value.empty()) {
            fusion.halves[k] = std::move(block.halves[k]);
            const auto factor = static_cast<float>(block.weight() / block.unit);
            for (float& value : fusion.halves[k].value) value *= factor;
        } else {
            add(fusion.halves[k], block.weight() / block.unit, block.halves[k]);
        }
    }
    fusion.scale += block.weight() / block.unit;
}

}  // namespace

void fuse(Fusion& fusion, Block block) {
    const bool best = block.advantage > fusion.best;
    fusion.best = std::max(fusion.best, block.advantage);
    fusion.sure = fusion.sure || block.sure();
    if (fusion.sure) fusion.witness.reset();
    const bool first = fusion.halves[0].value.empty() && (!fusion.alone || fusion.alone->weight() == 0);
    if (first) {
        if (best) fusion.alone = std::move(block);
    } else if (block.weight() > 0) {
        if (fusion.alone) accumulate(fusion, std::move(*fusion.alone));
        fusion.alone.reset();
        accumulate(fusion, std::move(block));
    }
}

Block fused(Fusion& fusion, Group group, unsigned threads, const Progress& progress) {
    if (!fusion.alone) return makeBlock(std::move(fusion.halves), group, threads, progress);
    fusion.scale = 1;
    return std::move(*fusion.alone);
}

void countCopies(std::vector<std::uint32_t>& copies, std::span<const float> gram, std::size_t d) {
    if (copies.empty()) copies.assign(d, static_cast<std::uint32_t>(d));
    for (std::size_t i = 0; i < d; ++i) {
        const auto row = gram.subspan(i * d, d);
        const auto alike = std::ranges::count_if(row, [](float r) { return std::fabs(r) > policy::duplicate; });
        copies[i] = std::min(copies[i], static_cast<std::uint32_t>(alike));
    }
}

std::vector<Structure> usefulStructures(Fusion& fusion) {
    double heaviest = 0;
    for (const auto& [weight, ofSite] : fusion.structures) heaviest = std::max(heaviest, weight);
    std::vector<Structure> structures;
    for (auto& [weight, ofSite] : fusion.structures)
        if (weight >= policy::usefulStructure * heaviest) std::ranges::move(ofSite, std::back_inserter(structures));
    return structures;
}

}  // namespace regauge

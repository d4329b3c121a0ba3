// Products of the rows of two weights, and from them the similarity of units by what no hidden gauge changes.
#pragma once

#include <cstddef>
#include <vector>

#include "hidden/checkpoint.hpp"

namespace regauge {

// What is known of one layer of one model: rows by role, in the target's stream coordinates.
struct LayerRows {
    std::array<HiddenRows, hiddenRoles.size()> of;
    const HiddenRows& operator[](HiddenRole role) const { return of[static_cast<std::size_t>(role)]; }
};
LayerRows layerRows(const HiddenCheckpoint& checkpoint, std::size_t layer, const Gauge* gauge);

// Scores of target units (rows) and source units (columns), from two pieces of evidence that share no weight.
struct UnitScores {
    std::size_t n = 0;
    std::vector<float> first, second;  // [n, n] each
    float total(std::size_t i, std::size_t j) const { return first[i * n + j] + second[i * n + j]; }
};

// first: cosine of gate rows. second: |cos(up) + cos(down)|, whose sign is the pair's: up and down share it. All within
// [-1, 1] and [0, 2].
struct NeuronScores {
    UnitScores scores;
    std::vector<std::int8_t> sign;  // [n, n]
};
NeuronScores neuronScores(const LayerRows& source, const LayerRows& target, unsigned threads);

// first: cosine of the products of query and key, plane by plane, q_k^* k_k, which a turn of the plane does not change
// (and on the channels that RoPE does not turn q^T k). second: cosine of the products o v. Both of query heads, each
// with its key-value head.
UnitScores headScores(const HiddenShape& shape, const LayerRows& source, const LayerRows& target, unsigned threads);

// a b^T: rows [aFirst, aFirst + n) of a, [bFirst, bFirst + m) of b.
std::vector<float> rowProducts(const HiddenRows& a, std::size_t aFirst, std::size_t n, const HiddenRows& b,
                               std::size_t bFirst, std::size_t m, unsigned threads);

}  // namespace regauge

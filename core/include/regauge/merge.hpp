// Merging: the weighted average of two checkpoints in the coordinates of the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "regauge/alignment.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/progress.hpp"

namespace regauge {

struct MergeOptions {
    double weight = 0.5;  // w: of B, or of the task vector
    std::string base;     // a third checkpoint: the task-vector form
    std::optional<Alignment>
        baseGauge;       // from BASE's coordinates to A's; without it BASE is in A's coordinates already
    bool force = false;  // overwrite the output; use a gauge whose verdict is unrelated
};

// What was merged.
struct MergeReport {
    std::uint64_t sharedRows = 0;  // rows of the vocabulary that were merged, where one of A, B and BASE is longer than
                                   // another; A's other rows are kept, B's left out
    std::string kind;              // the model family
    bool taskVector = false;
    double weight = 0;
    std::size_t d = 0;
    std::size_t averaged = 0;  // tensors that were averaged
    std::size_t equal = 0;     // tensors that are no floats, or that no recipe names: equal in all, kept as they are
    std::uint64_t bytes = 0;   // of all tensors
    std::string gauge;         // fingerprint
};

// Merges two Hugging Face checkpoints (each a folder, a file or shards), B moved into A's coordinates by `gauge`, the
// gauge from B's coordinates to A's (y[i] = sign[i] * x[perm[i]], x of B, y of A), tensor by tensor:
//
//     linear        OUT = (1 - w) A + w QB                   QB: B moved
//     task vector   OUT = A + w (QB - QBASE)                 QBASE: BASE, moved by baseGauge where there is one
//
// in doubles, rounded once, to nearest even, to the tensor's own dtype. What is equal in both stays equal to the byte;
// a weight of 0 gives A, file for file.
// OUT has A's names, order, shards and companion files, and in its metadata "regauge.merge": form, weight, names and
// fingerprints.
// It is meaningful for models of one base: attention heads and MLP neurons are averaged by position, not aligned
// (gauge_file.hpp's merge moves them where the gauge has a hidden part).
// Throws Error: usage (the gauge goes the other way; the weight is not finite, or carries weights beyond their dtype;
// baseGauge without base; OUT is an input), unsupported (quantised blocks; no checkpoint that a recipe knows),
// shapeMismatch (with the list of what does not agree between A, B and BASE; configurations that compute differently,
// by the setting), unknownTensor (tensors that must be equal and are not), outputExists, writeFailed, cancelled, and
// those of planTransport and of moving B.
// Streams: memory O(one tensor's slab, at most 128 MiB, for each moved input).
MergeReport merge(Files& files, const std::string& a, const std::string& b, const Alignment& gauge,
                  const std::string& out, const MergeOptions& options = {}, const Progress& progress = {});

}  // namespace regauge

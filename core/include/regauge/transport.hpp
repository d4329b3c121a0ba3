// Transport: an object moved into the target's coordinates, exactly.
#pragma once

#include <optional>
#include <string>

#include "regauge/alignment.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/progress.hpp"
#include "regauge/recipe.hpp"

namespace regauge {

struct TransportOptions {
    std::optional<std::string> kind;  // overrides recognition by content
    bool copyUnknown = false;         // --unknown copy
    bool force = false;               // overwrite the output; use a gauge whose verdict is unrelated
    // Quantised weights (blocks of GGUF, FP8 with its scales) are written as these floats: F16, BF16 or F32. Without
    // it, what is quantised in blocks along the residual axis is refused.
    std::optional<Dtype> dequantize = std::nullopt;
    bool dryRun = false;  // refuse what would be refused, and write nothing
};

// What an object is and how each of its tensors would move. d: the gauge's width, where one is at hand; then what
// transport could not move is refused. 0: unknown, and quantised blocks are shown, too.
// Throws Error: missingFile, truncated, malformed, unsupported, ambiguous, usage (the kind), dimensionMismatch,
// shapeMismatch, tooLarge.
Plan planTransport(const Files& files, const std::string& object, const TransportOptions& options = {},
                   std::size_t d = 0);

// Moves OBJECT by the gauge and writes OUT, whole or not at all. Names, order, dtypes, metadata and headers stay as
// they were;
// the gauge's fingerprint goes where the format has room. Transport by the inverse gives the tensors' bytes back.
// Throws Error: dimensionMismatch, unknownTensor (with the list), undeterminedSign, wrongDtype, unrelated, usage (OUT
// is OBJECT), outputExists, writeFailed, cancelled, and those of planTransport. Streams: memory O(d^2) at most,
// whatever the file's size.
Plan transport(Files& files, const std::string& object, const Alignment& gauge, const std::string& out,
               const TransportOptions& options = {}, const Progress& progress = {});

}  // namespace regauge

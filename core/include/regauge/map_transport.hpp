// Transport by a map: an object moved into the target's coordinates, and width, as well as a map can.
#pragma once

#include <optional>
#include <string>

#include "regauge/io/byte_source.hpp"
#include "regauge/map.hpp"
#include "regauge/progress.hpp"
#include "regauge/recipe.hpp"
#include "regauge/transport.hpp"

namespace regauge {

struct MapTransportOptions {
    TransportOptions object;
    std::optional<std::string> site;  // "S=T" or "S": use this map of the file
    bool keepStrength = false;        // scale every direction so that it is as long, in the standard deviations of the
                                      // target's stream, as it was in those of the source's
    unsigned threads = 1;             // the answer does not depend on it
};

// Moves OBJECT and writes OUT, whole or not at all:
//   directions            v -> M v
//   activations, points   x -> M x + b
//   probes, encoders      w -> N^T w, and their biases take what N's offset c adds: w . c
//   SAEs                  decoder rows as directions, decoder bias as a point, encoder as a probe
//   vectors by layer      each through the map of its own layer's site
// The plan says what moves; its description how strong directions are before and after.
// Throws Error(unsupported) where a map means nothing (channel lists, adapters, optimizer state, checkpoints, parts
// that take no signs), with the rung that is needed; unrelated (unless forced) where the map itself says that it does
// not help; dimensionMismatch, ambiguous (which map?), unknownTensor, outputExists, writeFailed, and as planTransport
// does. Memory: of the largest tensor, or of a file that changes its width, several times.
Plan transport(Files& files, const std::string& object, const MapSet& maps, const std::string& out,
               const MapTransportOptions& options = {}, const Progress& progress = {});

// What it would do: what transport() throws before it writes, this throws too.
Plan planTransport(const Files& files, const std::string& object, const MapSet& maps,
                   const MapTransportOptions& options = {});

}  // namespace regauge

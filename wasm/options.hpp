// Options as the package sends them: one JSON object a call, with the command's words.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "regauge/audit.hpp"
#include "regauge/ceiling.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/map_transport.hpp"
#include "regauge/match.hpp"
#include "regauge/merge.hpp"
#include "regauge/steer.hpp"
#include "regauge/transport.hpp"

namespace regauge::wasm {

struct AlignOptions {
    MatchOptions match;
    std::vector<std::string> gains;  // two files with more gains, of the source and of the target, or none
};
// {"group", "statistic", "sites", "rows", "skipFirst", "threads", "gains"}, each optional. threads: where the options
// do not say. Throws Error(usage).
AlignOptions alignOptions(const std::string& json, unsigned threads);

// {"kind", "copyUnknown", "dequantize", "force", "site" (the hook that the object lives on)}, each optional. Throws
// Error(usage).
struct GaugeTransportOptions {
    TransportOptions object;
    std::string site;
};
GaugeTransportOptions transportOptions(const std::string& json);

// {"family", "sites" (pairs), "ridge", "rows", "skipFirst", "threads"}, each optional.
MapOptions mapOptions(const std::string& json, unsigned threads);

// {"kind", "copyUnknown", "dequantize", "force", "site", "keepStrength"}, each optional.
MapTransportOptions mapTransportOptions(const std::string& json, unsigned threads);

// {"weight", "form" ("linear" or "task-vector"), "base", "baseGauge" (a gauge file's text), "force"}, each optional; a
// base makes it a task vector.
struct GaugeMergeOptions {
    MergeOptions merge;
    std::optional<GaugeFile> baseGauge;
};
GaugeMergeOptions mergeOptions(const std::string& json);

// {"kind", "k", "gauges", "seed", "d"}, each optional.
AuditOptions auditOptions(const std::string& json);

// {"d", "rows", "noise", "steps", "seed", "threads"}, each optional.
CeilingOptions ceilingOptions(const std::string& json);

// {"sequences", "tolerance"}, each optional.
struct VerifyOptions {
    std::size_t sequences = 0;  // 0: all
    double tolerance = sameFunction;
};
VerifyOptions verifyOptions(const std::string& json);

// {"vector", "row", "site", "strength", "promoted", "length", "temperature", "seed"}, each optional.
struct SteeringOptions {
    std::string vector;              // a path; empty: no steering
    std::optional<std::size_t> row;  // which of its vectors
    SteerOptions steer;
};
SteeringOptions steeringOptions(const std::string& json);

}  // namespace regauge::wasm

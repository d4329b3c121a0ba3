// A gauge file with both its parts: the residual stream's, and of heads and neurons where there is one. What every face
// of regauge takes where a gauge goes in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "regauge/alignment.hpp"
#include "regauge/hidden.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/merge.hpp"
#include "regauge/progress.hpp"
#include "regauge/transport.hpp"

namespace regauge {

struct GaugeFile {
    Alignment residual;
    std::optional<HiddenGauge> hidden;
};

// Both read their text once. Throw Error as parseGauge and parseHidden do; readGaugeFile also missingFile.
GaugeFile parseGaugeFile(std::string_view text, const std::string& where);
GaugeFile readGaugeFile(const Files& files, const std::string& path);
// The file's text, with a newline at its end.
std::string toJson(const GaugeFile& gauge);

GaugeFile inverse(const GaugeFile& gauge);
// The group's product: first `first`, then `next`. Throws Error: dimensionMismatch; usage where only one has a hidden
// part, naming `where`, which is what `next` is called.
GaugeFile then(const GaugeFile& first, const GaugeFile& next, const std::string& where = "");
// The same of the gauges of a chain of models. Throws Error(usage) also where their evidence says that they are in the
// wrong order, or twice the same.
GaugeFile compose(const GaugeFile& first, const GaugeFile& next, const std::string& where = "");

// Transport by all that the gauge has. site: the hook that OBJECT lives on, where it does not say so itself
// ("blocks.3.mlp.hook_post"). Throws Error as the calls with and without a hidden gauge do, and usage where a site is
// given and the gauge has no hidden part.
Plan transport(Files& files, const std::string& object, const GaugeFile& gauge, const std::string& out,
               const std::string& site = "", const TransportOptions& options = {}, const Progress& progress = {});

// Merging with B, and the base where baseGauge is given (instead of options.baseGauge), moved by all that their gauges
// have: heads and neurons, too. Throws as merge and movedHidden do.
MergeReport merge(Files& files, const std::string& a, const std::string& b, const GaugeFile& gauge,
                  const std::optional<GaugeFile>& baseGauge, const std::string& out, MergeOptions options = {},
                  const Progress& progress = {});

}  // namespace regauge

// A gauge file with both its parts: the residual stream's, and of heads and neurons where there is one.
#pragma once

#include <optional>
#include <string>

#include "regauge/alignment.hpp"
#include "regauge/hidden.hpp"
#include "regauge/io/byte_source.hpp"

namespace regauge {

struct GaugeFile {
    Alignment residual;
    std::optional<HiddenGauge> hidden;

    std::string json() const;  // the file's text
    std::string text() const;  // the summary, with a line of the hidden part
};

// Reads the file once. Throws as readGauge and readHidden do.
GaugeFile readGaugeFile(const Files& files, const std::string& path);

}  // namespace regauge

#include "gauge_file.hpp"

#include "hidden_words.hpp"
#include "regauge/io/gauge_json.hpp"
#include "summary.hpp"

namespace regauge {

std::string GaugeFile::json() const { return hidden ? withHidden(toJson(residual), *hidden) : toJson(residual); }

std::string GaugeFile::text() const { return summaryText(residual) + (hidden ? hiddenLine(*hidden) : ""); }

GaugeFile readGaugeFile(const Files& files, const std::string& path) {
    const std::string text = gaugeText(files, path);
    return {parseGauge(text, path), parseHidden(text, path)};
}

}  // namespace regauge

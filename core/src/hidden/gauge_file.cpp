#include "regauge/gauge_file.hpp"

#include <memory>
#include <nlohmann/json.hpp>

#include "gauge_file/gauge_object.hpp"
#include "hidden/hidden_object.hpp"
#include "io/json_text.hpp"
#include "regauge/error.hpp"
#include "regauge/io/gauge_json.hpp"

namespace regauge {
namespace {

void requireHidden(const GaugeFile& gauge, const std::string& object, const std::string& site) {
    if (!gauge.hidden && !site.empty())
        throw Error(ErrorCode::usage, object,
                    "cannot move with heads or neurons, as the gauge has no hidden part ('align --hidden'); leave out "
                    "--site to move it in the residual stream");
}

// Refuses gauges of which the evidence says that they are in the wrong order, or twice the same.
void requireFollows(const Alignment& first, const Alignment& next, const std::string& where) {
    const auto same = [](const Alignment::Side& a, const Alignment::Side& b) {
        return !a.sha256.empty() && a.sha256 == b.sha256;
    };
    const bool reversed = same(next.target, first.source),
               twice = same(first.source, next.source) && same(first.target, next.target);
    if (same(first.target, next.source) || (!reversed && !twice)) return;
    throw Error(ErrorCode::usage, where,
                "goes from " + next.source.name + " to " + next.target.name + ", and what is before it from " +
                    first.source.name + " to " + first.target.name +
                    "; give gauges in the order in which they are applied, each once");
}

}  // namespace

GaugeFile parseGaugeFile(std::string_view text, const std::string& where) {
    const nlohmann::json file = parseJson(text, where, mostGaugeNumbers);
    return {alignmentFrom(file, where), hiddenFrom(file, where)};
}

GaugeFile readGaugeFile(const Files& files, const std::string& path) {
    return parseGaugeFile(gaugeText(files, path), path);
}

std::string toJson(const GaugeFile& gauge) {
    nlohmann::ordered_json file = gaugeObject(gauge.residual);
    if (gauge.hidden) file["hidden"] = hiddenObject(*gauge.hidden);
    return jsonText(file) + "\n";
}

GaugeFile inverse(const GaugeFile& gauge) {
    GaugeFile back{inverse(gauge.residual), std::nullopt};
    if (gauge.hidden) back.hidden = gauge.hidden->inverse();
    return back;
}

GaugeFile compose(const GaugeFile& first, const GaugeFile& next, const std::string& where) {
    requireFollows(first.residual, next.residual, where);
    return then(first, next, where);
}

GaugeFile then(const GaugeFile& first, const GaugeFile& next, const std::string& where) {
    GaugeFile both{then(first.residual, next.residual), std::nullopt};
    if (first.hidden.has_value() != next.hidden.has_value())
        throw Error(ErrorCode::usage, where,
                    std::string(next.hidden ? "has a" : "has no") +
                        " hidden part (heads and neurons), unlike the gauges before it; all must have one ('regauge "
                        "align --hidden'), or none");
    if (first.hidden) both.hidden = first.hidden->then(*next.hidden);
    return both;
}

Plan transport(Files& files, const std::string& object, const GaugeFile& gauge, const std::string& out,
               const std::string& site, const TransportOptions& options, const Progress& progress) {
    requireHidden(gauge, object, site);
    return gauge.hidden ? transport(files, object, gauge.residual, *gauge.hidden, out, site, options, progress)
                        : transport(files, object, gauge.residual, out, options, progress);
}

MergeReport merge(Files& files, const std::string& a, const std::string& b, const GaugeFile& gauge,
                  const std::optional<GaugeFile>& baseGauge, const std::string& out, MergeOptions options,
                  const Progress& progress) {
    if (baseGauge) options.baseGauge = baseGauge->residual;
    std::unique_ptr<Files> moved, baseMoved;
    Files* from = &files;
    if (gauge.hidden) moved = movedHidden(*from, *gauge.hidden, b), from = moved.get();
    if (baseGauge && baseGauge->hidden)
        baseMoved = movedHidden(*from, *baseGauge->hidden, options.base), from = baseMoved.get();
    return merge(*from, a, b, gauge.residual, out, options, progress);
}

}  // namespace regauge

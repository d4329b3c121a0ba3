#include "regauge/audit.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "jobs.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/reports.hpp"
#include "shown.hpp"

namespace regauge {
namespace {

// Four decimals, and no "-0.0000".
std::string cell(const std::optional<double>& value) {
    if (!value) return "-";
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.4f", std::fabs(*value) < 0.00005 ? 0.0 : *value);
    return buffer;
}
std::string cell(const std::optional<Spread>& spread) {
    return spread ? cell(spread->mean) + "  " + cell(spread->low) + " to " + cell(spread->high) : "-";
}

template <class Number>
std::string row(const std::string& title, const Survival<Number>& survival) {
    std::string text = title;
    for (const auto& value : {survival.overlap, survival.rank, survival.sign}) {
        std::string entry = cell(value);
        entry.resize(std::max<std::size_t>(entry.size() + 2, 26), ' ');
        text += entry;
    }
    return text.erase(text.find_last_not_of(' ') + 1) + "\n";
}

std::string reportText(const AuditReport& report) {
    const std::string width = "d = " + std::to_string(report.d);
    std::string text = shown(report.description) + (report.description.ends_with(width) ? "" : ", " + width) +
                       (report.claims > 1 ? ", means over " + std::to_string(report.claims) + " vectors" : "") + "\n";
    std::string head = "top-" + std::to_string(report.k) + " overlap";
    head.resize(std::max<std::size_t>(head.size() + 2, 26), ' ');
    text += std::to_string(report.gauges) + " random gauges, seed " + std::to_string(report.seed) +
            ": mean, and 5th to 95th percentile\n";
    text += "               " + head + "rank correlation          sign agreement\n";
    text += row("not moved      ", report.notMoved) + row("by chance      ", report.chance) +
            row("moved          ", report.moved);
    if (report.gauge)
        text += "gauge " + shown(report.gauge->fingerprint) + "\n" + row("not moved      ", report.gauge->notMoved) +
                row("moved          ", report.gauge->moved);
    return text + "\n" + shown(report.statement) + "\n";
}

}  // namespace

RunJob addAudit(CLI::App& command) {
    struct Options {
        std::string object, gauge, kind;
        AuditOptions audit;
    };
    auto options = std::make_shared<Options>();
    command
        .add_option(
            "OBJECT", options->object,
            "a vector or rows of vectors, or a list of channels (JSON or CSV) with values, attributions or in order")
        ->required();
    command.add_option("--gauge", options->gauge,
                       "a gauge file: the same for this gauge, and the statement relative to it");
    command.add_option("--k", options->audit.k, "of the top-k channels (default 10)")->check(positive());
    command.add_option("--gauges", options->audit.gauges, "random gauges to draw (default 1000)")->check(positive());
    command.add_option("--seed", options->audit.seed,
                       "of the random gauges (default 0); the same numbers on every machine");
    command.add_option("--d", options->audit.d, "width of the residual stream, where a list is given without a gauge")
        ->check(positive());
    command.add_option("--kind", options->kind, "what OBJECT is, where its content does not tell: vector or neurons");
    return [options](const Job& job) {
        std::optional<Alignment> gauge;
        if (!options->gauge.empty()) gauge = readGauge(job.host.files, options->gauge);
        if (!options->kind.empty()) options->audit.kind = options->kind;
        const AuditReport report = audit(job.host.files, options->object, gauge, options->audit, job.progress());
        job.print(job.json ? auditJson(report) + "\n" : reportText(report));
        return report.survives ? 0 : 1;
    };
}

}  // namespace regauge

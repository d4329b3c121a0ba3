// The subcommands that work on gauges alone: show, compose, invert, compare.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "hidden_words.hpp"
#include "io/json_text.hpp"
#include "jobs.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/map_reports.hpp"
#include "regauge/reports.hpp"
#include "summary.hpp"

namespace regauge {

RunJob addShow(CLI::App& command) {
    auto path = std::make_shared<std::string>();
    command.add_option("GAUGE", *path, "a gauge file, a map file, or statistics")->required();
    return [path](const Job& job) {
        if (isMapFile(*job.host.files.open(*path))) {
            const MapSet maps = readMaps(job.host.files, *path);
            job.print(job.json ? mapsJson(maps) : mapsText(maps));
            return 0;
        }
        if (const auto statistics = openStatistics(job.host.files, *path)) {
            job.print(job.json ? statisticsJson(statistics->heading()) : statisticsText(statistics->heading()));
            return 0;
        }
        const GaugeFile gauge = readGaugeFile(job.host.files, *path);
        job.print(job.json ? summaryJson(gauge) : summaryText(gauge));
        return 0;
    };
}

RunJob addCompose(CLI::App& command) {
    struct Options {
        std::vector<std::string> paths;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("GAUGES", options->paths, "gauge files, the one to apply first first")->required();
    addOutput(command, options->output, true, "the composed gauge file");
    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        GaugeFile composed = readGaugeFile(job.host.files, options->paths.front());
        for (std::size_t k = 1; k < options->paths.size(); ++k)
            composed = compose(composed, readGaugeFile(job.host.files, options->paths[k]), options->paths[k]);
        writeText(job.host.files, options->output, toJson(composed));
        if (job.json)
            job.print(summaryJson(composed));
        else
            job.wrote(options->output.path);
        return 0;
    };
}

RunJob addInvert(CLI::App& command) {
    struct Options {
        std::string path;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("GAUGE", options->path, "a gauge file")->required();
    addOutput(command, options->output, true, "the inverse gauge file");
    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        const GaugeFile inverted = inverse(readGaugeFile(job.host.files, options->path));
        writeText(job.host.files, options->output, toJson(inverted));
        if (job.json)
            job.print(summaryJson(inverted));
        else
            job.wrote(options->output.path);
        return 0;
    };
}

RunJob addCompare(CLI::App& command) {
    struct Options {
        std::string gauge, reference;
        double atLeast = 1;
    };
    auto options = std::make_shared<Options>();
    command.add_option("GAUGE", options->gauge, "a gauge file")->required();
    command.add_option("REFERENCE", options->reference, "the gauge file to compare with")->required();
    command
        .add_option("--at-least", options->atLeast,
                    "exit 0 when at least this fraction agrees in both permutation and sign, and of heads "
                    "and neurons where both files have them (default 1)")
        ->check(CLI::Range(0.0, 1.0));
    return [options](const Job& job) {
        const GaugeFile gauge = readGaugeFile(job.host.files, options->gauge),
                        reference = readGaugeFile(job.host.files, options->reference);
        const Agreement agreement = compare(gauge.residual.gauge, reference.residual.gauge);
        std::optional<HiddenAgreement> hidden;
        if (gauge.hidden && reference.hidden) hidden = compare(*gauge.hidden, *reference.hidden);
        if (job.json) {
            nlohmann::ordered_json json{{"d", gauge.residual.gauge.d()},
                                        {"permutation", agreement.permutation},
                                        {"sign", agreement.sign},
                                        {"both", agreement.both},
                                        {"fingerprint", gauge.residual.gauge.fingerprint()},
                                        {"reference_fingerprint", reference.residual.gauge.fingerprint()}};
            if (hidden)
                json["hidden"] = {
                    {"neurons", hidden->neurons}, {"heads", hidden->heads}, {"kv_heads", hidden->kvHeads}};
            job.print(jsonText(json) + "\n");
        } else {
            job.print("permutation  " + percent(agreement.permutation) + "\nsign         " + percent(agreement.sign) +
                      "\nboth         " + percent(agreement.both) + "\n");
            if (hidden)
                job.print("neurons      " + percent(hidden->neurons) + "\nheads        " + percent(hidden->heads) +
                          "\nkv heads     " + percent(hidden->kvHeads) + "\n");
        }
        const double least = hidden ? std::min({agreement.both, hidden->neurons, hidden->heads}) : agreement.both;
        return least >= options->atLeast ? 0 : 1;
    };
}

}  // namespace regauge

#include "regauge/transport.hpp"

#include <memory>
#include <optional>
#include <vector>

#include "hidden_words.hpp"
#include "jobs.hpp"
#include "regauge/error.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/map_reports.hpp"
#include "regauge/map_transport.hpp"
#include "regauge/words.hpp"
#include "shown.hpp"
#include "summary.hpp"

namespace regauge {
namespace {

// The gauge in a file. Throws Error as readGaugeFile does, and in words of its own where the file holds maps.
GaugeFile gaugeIn(const Files& files, const std::string& path) {
    try {
        return readGaugeFile(files, path);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::malformed && isMapFile(*files.open(path)))
            throw Error(ErrorCode::usage, path, "is a map file; give it as --map " + path);
        throw;
    }
}

// What is said of our own files (statistics, maps, gauges), which are no objects; empty for anything else.
std::string ownFile(const Job& job, const std::string& path) {
    if (const std::shared_ptr<const Statistics> statistics = openStatistics(job.host.files, path))
        return job.json ? statisticsJson(statistics->heading()) : statisticsText(statistics->heading());
    const Files& files = job.host.files;
    if (!files.exists(path) || files.isFolder(path)) return "";
    if (isGaugeFile(*files.open(path))) {
        const GaugeFile gauge = readGaugeFile(files, path);
        return job.json ? summaryJson(gauge) : "gauge file\n" + summaryText(gauge);
    }
    if (!isMapFile(*files.open(path))) return "";
    const MapSet maps = readMaps(files, path);
    return job.json ? mapsJson(maps) : "map file\n" + mapsText(maps);
}

struct TransportWords {
    std::string object, gauge, map, site, kind, unknown = "refuse", dequantize;
    bool dryRun = false, keepStrength = false;
    OutputOptions output;

    TransportOptions options() const {
        TransportOptions options;
        if (!kind.empty()) options.kind = kind;
        options.copyUnknown = unknown == "copy";
        options.force = output.force;
        options.dequantize = dequantizedFromName(dequantize);
        options.dryRun = dryRun;
        return options;
    }
};

Plan moveByMap(const Job& job, const TransportWords& words) {
    const MapSet maps = readMaps(job.host.files, words.map);
    MapTransportOptions options{words.options(), {}, words.keepStrength, job.host.threads};
    if (!words.site.empty()) options.site = words.site;
    if (!maps.best().judged) job.say("warning: the map is not judged: nothing says what it explains of the target");
    return words.dryRun ? planTransport(job.host.files, words.object, maps, options)
                        : transport(job.host.files, words.object, maps, words.output.path, options, job.progress());
}

Plan moveByGauge(const Job& job, const TransportWords& words) {
    const GaugeFile gauge = gaugeIn(job.host.files, words.gauge);
    if (gauge.residual.verdict == Verdict::partial)
        job.say("warning: the gauge is partial: about " + percent(gauge.residual.estimate) +
                " of its channels are estimated right, and what the others carry is moved to wrong places");
    return transport(job.host.files, words.object, gauge, words.output.path, words.site, words.options(),
                     job.progress());
}

}  // namespace

RunJob addTransport(CLI::App& command) {
    auto words = std::make_shared<TransportWords>();
    command.add_option("OBJECT", words->object, "what to move: a file or folder in source coordinates")->required();
    CLI::Option* gaugeFile =
        command.add_option("--gauge", words->gauge, "the gauge file, from the object's coordinates to the target's");
    CLI::Option* mapFile =
        command.add_option("--map", words->map, "or the map file ('regauge map'), where no gauge relates the models");
    mapFile->excludes(gaugeFile);
    command.add_option("--site", words->site,
                       "with --map: which of the file's maps, SOURCE_SITE=TARGET_SITE; with a gauge that has a hidden "
                       "part: the MLP neurons or heads that OBJECT lives on, such as blocks.3.mlp.hook_post or "
                       "blocks.3.attn.hook_z");
    command
        .add_flag("--keep-strength", words->keepStrength,
                  "with --map: scale directions to the strength that they had, in standard deviations of the stream")
        ->needs(mapFile);
    addOutput(command, words->output, false, "the moved file or folder");
    command.add_option("--kind", words->kind, "what OBJECT is, where its content does not tell");
    command.add_option("--unknown", words->unknown, "tensors that no recipe names: refuse, or copy them as they are")
        ->check(CLI::IsMember({"refuse", "copy"}));
    command
        .add_option("--dequantize", words->dequantize,
                    "write quantised weights (GGUF blocks, FP8) as floats: " + either(dequantizedWords()))
        ->check(CLI::IsMember(std::vector<std::string>(dequantizedWords().begin(), dequantizedWords().end())));
    command.add_flag("--dry-run", words->dryRun, "print how each tensor would move, and write nothing");

    return [words](const Job& job) {
        if (words->output.path.empty() && !words->dryRun) throw CLI::RequiredError("-o OUT (or --dry-run)");
        if (words->gauge.empty() && words->map.empty())
            throw CLI::RequiredError("--gauge gauge.json (or --map map.safetensors)");
        requireFree(job.host.files, words->output);
        const Plan plan = words->map.empty() ? moveByGauge(job, *words) : moveByMap(job, *words);
        if (job.json)
            job.print(planJson(plan));
        else if (words->dryRun)
            job.print(planText(plan));
        else
            job.wrote(words->output.path, plan.description);
        return 0;
    };
}

RunJob addInspect(CLI::App& command) {
    struct Options {
        std::vector<std::string> paths;
        std::string kind;
    };
    auto options = std::make_shared<Options>();
    command.add_option("FILES", options->paths, "files or folders")->required();
    command.add_option("--kind", options->kind, "what they are, where their content does not tell");
    return [options](const Job& job) {
        TransportOptions transportOptions;
        if (!options->kind.empty()) transportOptions.kind = options->kind;
        std::string json;
        for (const std::string& path : options->paths) {
            std::string object = options->kind.empty() ? ownFile(job, path) : "";
            if (object.empty()) {
                const Plan plan = planTransport(job.host.files, path, transportOptions);
                object = job.json ? planJson(plan) : planText(plan);
            }
            if (job.json) {
                object.pop_back();  // the newline
                json += (json.empty() ? "" : ",") + object;
            } else {
                job.print((options->paths.size() > 1 ? shown(path) + ": " : "") + object);
            }
        }
        if (job.json) job.print(options->paths.size() == 1 ? json + "\n" : "{\"files\":[" + json + "]}\n");
        return 0;
    };
}

}  // namespace regauge

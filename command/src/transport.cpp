#include "regauge/transport.hpp"

#include <memory>

#include "jobs.hpp"
#include "regauge/error.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/map_reports.hpp"
#include "regauge/map_transport.hpp"
#include "shown.hpp"
#include "summary.hpp"

namespace regauge {
namespace {

// What is said of statistics and maps, which are no objects; empty for anything else.
std::string ownFile(const Job& job, const std::string& path) {
    if (const std::shared_ptr<const Statistics> statistics = openStatistics(job.host.files, path))
        return job.json ? statisticsJson(statistics->heading()) : statisticsText(statistics->heading());
    const Files& files = job.host.files;
    if (!files.exists(path) || files.isFolder(path) || !isMapFile(*files.open(path))) return "";
    const MapSet maps = readMaps(files, path);
    return job.json ? mapsJson(maps) : "map file\n" + mapsText(maps);
}

}  // namespace

RunJob addTransport(CLI::App& command) {
    struct Options {
        std::string object, gauge, map, site, kind, unknown = "refuse", dequantize;
        bool dryRun = false, keepStrength = false;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("OBJECT", options->object, "what to move: a file or folder in source coordinates")->required();
    CLI::Option* gaugeFile =
        command.add_option("--gauge", options->gauge, "the gauge file, from the object's coordinates to the target's");
    CLI::Option* mapFile =
        command.add_option("--map", options->map, "or the map file ('regauge map'), where no gauge relates the models");
    mapFile->excludes(gaugeFile);
    command.add_option("--site", options->site, "with --map: which of the file's maps, SOURCE_SITE=TARGET_SITE")
        ->needs(mapFile);
    command
        .add_flag("--keep-strength", options->keepStrength,
                  "with --map: scale directions to the strength that they had, in standard deviations of the stream")
        ->needs(mapFile);
    addOutput(command, options->output, false, "the moved file or folder");
    command.add_option("--kind", options->kind, "what OBJECT is, where its content does not tell");
    command.add_option("--unknown", options->unknown, "tensors that no recipe names: refuse, or copy them as they are")
        ->check(CLI::IsMember({"refuse", "copy"}));
    command
        .add_option("--dequantize", options->dequantize,
                    "write quantised weights (GGUF blocks, FP8) as floats: bf16, f16 or f32")
        ->check(CLI::IsMember({"bf16", "f16", "f32"}));
    command.add_flag("--dry-run", options->dryRun, "print how each tensor would move, and write nothing");

    return [options](const Job& job) {
        if (options->output.path.empty() && !options->dryRun) throw CLI::RequiredError("-o OUT (or --dry-run)");
        if (options->gauge.empty() && options->map.empty())
            throw CLI::RequiredError("--gauge gauge.json (or --map map.safetensors)");
        requireFree(job.host.files, options->output);
        TransportOptions transportOptions;
        if (!options->kind.empty()) transportOptions.kind = options->kind;
        transportOptions.copyUnknown = options->unknown == "copy";
        transportOptions.force = options->output.force;
        if (!options->dequantize.empty())
            transportOptions.dequantize = options->dequantize == "bf16"  ? Dtype::BF16
                                          : options->dequantize == "f16" ? Dtype::F16
                                                                         : Dtype::F32;
        const auto say = [&](const Plan& plan) {
            if (job.json)
                job.print(planJson(plan));
            else if (options->dryRun)
                job.print(planText(plan));
            else {
                job.held.release();
                job.say(plan.description);
                job.wrote(options->output.path);
            }
        };
        if (!options->map.empty()) {
            const MapSet maps = readMaps(job.host.files, options->map);
            MapTransportOptions byMap{transportOptions, {}, options->keepStrength, job.host.threads};
            if (!options->site.empty()) byMap.site = options->site;
            say(options->dryRun
                    ? planTransport(job.host.files, options->object, maps, byMap)
                    : transport(job.host.files, options->object, maps, options->output.path, byMap, job.progress()));
            return 0;
        }
        if (job.host.files.exists(options->gauge) && !job.host.files.isFolder(options->gauge) &&
            isMapFile(*job.host.files.open(options->gauge)))
            throw Error(ErrorCode::usage, options->gauge, "is a map file; give it as --map " + options->gauge);
        const Alignment gauge = readGauge(job.host.files, options->gauge);
        if (gauge.verdict == Verdict::partial)
            job.say("warning: the gauge is partial: about " + percent(gauge.estimate) +
                    " of its channels are estimated right, and what the others carry is moved to wrong places");
        say(options->dryRun ? planTransport(job.host.files, options->object, transportOptions, gauge.gauge.d())
                            : transport(job.host.files, options->object, gauge, options->output.path, transportOptions,
                                        job.progress()));
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

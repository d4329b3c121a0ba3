#include "regauge/transport.hpp"

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "jobs.hpp"
#include "regauge/error.hpp"
#include "regauge/hidden.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/map_reports.hpp"
#include "regauge/map_transport.hpp"
#include "shown.hpp"
#include "summary.hpp"

namespace regauge {
namespace {

// The gauge in a file. Throws Error as readGauge does, and in words of its own where the file holds maps.
Alignment gaugeIn(const Files& files, const std::string& path) {
    try {
        return readGauge(files, path);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::malformed && isMapFile(*files.open(path)))
            throw Error(ErrorCode::usage, path, "is a map file; give it as --map " + path);
        throw;
    }
}

// Whether a file says of itself, near its beginning, that it is a gauge.
bool saysGauge(const ByteSource& file) {
    std::vector<std::byte> begin(static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), 4096)));
    file.read(0, begin);
    const std::string_view text(reinterpret_cast<const char*>(begin.data()), begin.size());
    return text.starts_with('{') && text.find("\"regauge-gauge\"") != std::string_view::npos;
}

// What is said of our own files (statistics, maps, gauges), which are no objects; empty for anything else.
std::string ownFile(const Job& job, const std::string& path) {
    if (const std::shared_ptr<const Statistics> statistics = openStatistics(job.host.files, path))
        return job.json ? statisticsJson(statistics->heading()) : statisticsText(statistics->heading());
    const Files& files = job.host.files;
    if (!files.exists(path) || files.isFolder(path)) return "";
    if (saysGauge(*files.open(path))) {
        const Alignment gauge = readGauge(files, path);
        return job.json ? summaryJson(gauge) : "gauge file\n" + summaryText(gauge);
    }
    if (!isMapFile(*files.open(path))) return "";
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
        const Alignment gauge = gaugeIn(job.host.files, options->gauge);
        if (gauge.verdict == Verdict::partial)
            job.say("warning: the gauge is partial: about " + percent(gauge.estimate) +
                    " of its channels are estimated right, and what the others carry is moved to wrong places");
        const std::optional<HiddenGauge> hidden = readHidden(job.host.files, options->gauge);
        std::unique_ptr<Files> moved;
        if (hidden) moved = movedHidden(job.host.files, *hidden);
        Files& files = moved ? *moved : job.host.files;
        if (hidden)
            requireMovable(planTransport(files, options->object, transportOptions, gauge.gauge.d()), options->object);
        say(options->dryRun
                ? planTransport(files, options->object, transportOptions, gauge.gauge.d())
                : transport(files, options->object, gauge, options->output.path, transportOptions, job.progress()));
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

#include "regauge/transport.hpp"

#include <memory>

#include "jobs.hpp"
#include "regauge/io/gauge_json.hpp"
#include "shown.hpp"
#include "summary.hpp"

namespace regauge {

RunJob addTransport(CLI::App& command) {
    struct Options {
        std::string object, gauge, kind, unknown = "refuse";
        bool dryRun = false;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("OBJECT", options->object, "what to move: a file or folder in source coordinates")->required();
    command.add_option("--gauge", options->gauge, "the gauge file, from the object's coordinates to the target's")
        ->required();
    addOutput(command, options->output, false, "the moved file or folder");
    command.add_option("--kind", options->kind, "what OBJECT is, where its content does not tell");
    command.add_option("--unknown", options->unknown, "tensors that no recipe names: refuse, or copy them as they are")
        ->check(CLI::IsMember({"refuse", "copy"}));
    command.add_flag("--dry-run", options->dryRun, "print how each tensor would move, and write nothing");

    return [options](const Job& job) {
        if (options->output.path.empty() && !options->dryRun) throw CLI::RequiredError("-o OUT (or --dry-run)");
        requireFree(job.host.files, options->output);
        const Alignment gauge = readGauge(job.host.files, options->gauge);
        if (gauge.verdict == Verdict::partial)
            job.say("warning: the gauge is partial: about " + percent(gauge.estimate) +
                    " of its channels are estimated right, and what the others carry is moved to wrong places");
        TransportOptions transportOptions;
        if (!options->kind.empty()) transportOptions.kind = options->kind;
        transportOptions.copyUnknown = options->unknown == "copy";
        transportOptions.force = options->output.force;
        const Plan plan = options->dryRun
                              ? planTransport(job.host.files, options->object, transportOptions, gauge.gauge.d())
                              : transport(job.host.files, options->object, gauge, options->output.path,
                                          transportOptions, job.progress());
        if (job.json)
            job.print(planJson(plan));
        else if (options->dryRun)
            job.print(planText(plan));
        else {
            job.held.release();
            job.say(plan.description);
            job.wrote(options->output.path);
        }
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
            const std::shared_ptr<const Statistics> statistics =
                options->kind.empty() ? openStatistics(job.host.files, path) : nullptr;
            const Plan plan = statistics ? Plan() : planTransport(job.host.files, path, transportOptions);
            if (job.json) {
                std::string object = statistics ? statisticsJson(statistics->heading()) : planJson(plan);
                object.pop_back();  // the newline
                json += (json.empty() ? "" : ",") + object;
            } else {
                job.print((options->paths.size() > 1 ? shown(path) + ": " : "") +
                          (statistics ? statisticsText(statistics->heading()) : planText(plan)));
            }
        }
        if (job.json) job.print(options->paths.size() == 1 ? json + "\n" : "{\"files\":[" + json + "]}\n");
        return 0;
    };
}

}  // namespace regauge

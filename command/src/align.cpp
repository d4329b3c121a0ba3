// The subcommands that match: align, trace.
#include <memory>

#include "jobs.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/trace.hpp"
#include "summary.hpp"

namespace regauge {
namespace {

int statusOf(const Alignment& alignment) { return alignment.verdict == Verdict::unrelated ? 1 : 0; }

void sayWhere(const Job& job, const std::string& path) {
    job.say(path.empty() ? "the gauge was not written; -o FILE writes it" : "wrote " + path);
}

}  // namespace

void addMatchFlags(CLI::App& command, MatchFlags& flags) {
    command.add_option("--group", flags.group, "signed (RMSNorm), permutation (the baseline without signs) or layernorm")
        ->check(CLI::IsMember({"signed", "permutation", "layernorm"}));
    command.add_option("--statistic", flags.statistic, "auto, correlation or whitened")->check(CLI::IsMember({"auto", "correlation", "whitened"}));
    command.add_option("--site", flags.sites, "use only this site; may be given several times")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_option("--rows", flags.rows, "use only the first N rows of each site")->check(CLI::PositiveNumber);
    command.add_option("--skip-first", flags.skipFirst, "leave out the first N rows of each sequence (BOS)");
    command.add_option("--threads", flags.threads, "threads to use; the answer does not depend on it")->check(CLI::Range(1, 1024));
}

MatchOptions MatchFlags::options(const Host& host) const {
    MatchOptions options;
    options.group = *groupFromName(group);
    options.statistic = *statisticFromName(statistic);
    options.sites = sites;
    if (rows > 0) options.rows = rows;
    options.skipFirst = skipFirst;
    options.threads = threads > 0 ? threads : host.threads;
    return options;
}

RunJob addAlign(CLI::App& command) {
    struct Options {
        std::string source, target;
        MatchFlags match;
        std::vector<std::string> gains;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("SOURCE", options->source, "evidence of the source model: a file or folder")->required();
    command.add_option("TARGET", options->target, "evidence of the target model on the same tokens")->required();
    addOutput(command, options->output, false, "the gauge file to write");
    addMatchFlags(command, options->match);
    command.add_option("--gains", options->gains, "two more files with gains, of the source and of the target")->expected(2);

    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        Evidence source = openEvidence(job.host.files, options->source), target = openEvidence(job.host.files, options->target);
        if (!options->gains.empty()) {
            source.gains = openEvidence(job.host.files, options->gains[0]).gains;
            target.gains = openEvidence(job.host.files, options->gains[1]).gains;
        }
        const Alignment alignment = match(source, target, options->match.options(job.host), job.progress());
        if (!options->output.path.empty()) writeText(job.host.files, options->output, toJson(alignment));
        if (job.json)
            job.print(summaryJson(alignment));
        else if (!job.quiet)
            job.print(summaryText(alignment));
        sayWhere(job, options->output.path);
        return statusOf(alignment);
    };
}

RunJob addTrace(CLI::App& command) {
    struct Options {
        std::vector<std::string> checkpoints;
        MatchFlags match;
        std::string locals;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("CHECKPOINTS", options->checkpoints, "evidence files or checkpoint folders, in the order of training")->required();
    addOutput(command, options->output, false, "the gauge file to write, from the first checkpoint to the last");
    command.add_option("--locals", options->locals, "a folder to write every local gauge to");
    addMatchFlags(command, options->match);

    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        requireFree(job.host.files, {options->locals, options->output.force});
        const Trace result = trace(job.host.files, options->checkpoints, options->match.options(job.host), job.progress());
        const auto nameOf = [&](std::size_t checkpoint) { return options->checkpoints[checkpoint]; };
        if (!options->locals.empty()) {
            const std::unique_ptr<Output> folder = job.host.files.create(options->locals, true, options->output.force);
            for (const Hop& hop : result.tried) {
                const std::string text = toJson(hop.alignment);
                folder->file(std::to_string(hop.from) + "-" + std::to_string(hop.to) + ".json").write(std::as_bytes(std::span(text)));
            }
            folder->commit();
        }
        if (!options->output.path.empty()) writeText(job.host.files, options->output, toJson(result.alignment));

        if (job.json) {
            job.print(traceJson(result));
        } else if (!job.quiet) {
            std::string text = summaryText(result.alignment) + "\nthe path, and the estimated share of right channels of each hop\n";
            for (std::size_t k = 0; k < result.hops.size(); ++k) {
                const Hop& hop = result.hops[k];
                text += "  " + nameOf(hop.from) + " -> " + nameOf(hop.to) + "  " + percent(hop.alignment.estimate) +
                        (k == result.weakest && result.hops.size() > 1 ? "  (the weakest)" : "") + "\n";
            }
            for (const Hop& hop : result.tried)
                if (hop.cycle && hop.alignment.verdict != Verdict::unrelated)
                    text += "cycle: " + nameOf(hop.from) + " -> " + nameOf(hop.to) + " agrees with the path on " + percent(*hop.cycle) + " of the channels\n";
            text += "directly " + percent(result.direct) + ", through every checkpoint " + percent(result.hopByHop) + ", traced " +
                    percent(result.alignment.estimate) + "\n";
            job.print(text);
        }
        sayWhere(job, options->output.path);
        return statusOf(result.alignment);
    };
}

}  // namespace regauge

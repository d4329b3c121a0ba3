#include <memory>

#include "jobs.hpp"
#include "regauge/io/gauge_json.hpp"
#include "summary.hpp"

namespace regauge {

RunJob addAlign(CLI::App& command) {
    struct Options {
        std::string source, target, group = "signed", statistic = "auto";
        MatchOptions match;
        std::vector<std::string> gains;
        std::uint64_t rows = 0;
        unsigned threads = 0;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("SOURCE", options->source, "evidence of the source model: a file or folder")->required();
    command.add_option("TARGET", options->target, "evidence of the target model on the same tokens")->required();
    addOutput(command, options->output, false, "the gauge file to write");
    command.add_option("--group", options->group, "signed (RMSNorm), permutation (the baseline without signs) or layernorm")
        ->check(CLI::IsMember({"signed", "permutation", "layernorm"}));
    command.add_option("--statistic", options->statistic, "auto, correlation or whitened")->check(CLI::IsMember({"auto", "correlation", "whitened"}));
    command.add_option("--site", options->match.sites, "use only this site; may be given several times")->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_option("--gains", options->gains, "two more files with gains, of the source and of the target")->expected(2);
    command.add_option("--rows", options->rows, "use only the first N rows of each site")->check(CLI::PositiveNumber);
    command.add_option("--skip-first", options->match.skipFirst, "leave out the first N rows of each sequence (BOS)");
    command.add_option("--threads", options->threads, "threads to use; the answer does not depend on it")->check(CLI::Range(1, 1024));

    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        options->match.group = *groupFromName(options->group);
        options->match.statistic = *statisticFromName(options->statistic);
        if (options->rows > 0) options->match.rows = options->rows;
        options->match.threads = options->threads > 0 ? options->threads : job.host.threads;
        Evidence source = openEvidence(job.host.files, options->source), target = openEvidence(job.host.files, options->target);
        if (!options->gains.empty()) {
            source.gains = openEvidence(job.host.files, options->gains[0]).gains;
            target.gains = openEvidence(job.host.files, options->gains[1]).gains;
        }
        const Alignment alignment = match(source, target, options->match, job.progress());
        if (!options->output.path.empty()) writeText(job.host.files, options->output, toJson(alignment));
        if (job.json)
            job.print(summaryJson(alignment));
        else if (!job.quiet)
            job.print(summaryText(alignment));
        if (!options->output.path.empty())
            job.say("wrote " + options->output.path);
        else
            job.say("the gauge was not written; -o FILE writes it");
        return alignment.verdict == Verdict::unrelated ? 1 : 0;
    };
}

}  // namespace regauge

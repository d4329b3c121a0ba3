// The subcommands that match: align, trace.
#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "base/shell_words.hpp"
#include "hidden_words.hpp"
#include "jobs.hpp"
#include "regauge/error.hpp"
#include "regauge/hidden.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/map.hpp"
#include "regauge/trace.hpp"
#include "regauge/words.hpp"
#include "shown.hpp"
#include "summary.hpp"

namespace regauge {
namespace {

int statusOf(const Alignment& alignment) { return alignment.verdict == Verdict::unrelated ? 1 : 0; }

void sayWhere(const Job& job, const std::string& path) {
    if (path.empty())
        job.say("the gauge was not written; -o FILE writes it");
    else
        job.wrote(path);
}

// What `align` was asked.
struct AlignOptions {
    std::string source, target;
    MatchFlags match;
    std::vector<std::string> gains;
    bool partial = false;
    bool hidden = false;
    OutputOptions output;
};

// Whether two sites' rows pair, and are enough for 'regauge map'.
bool mayMap(const Evidence& source, const Evidence& target) {
    const auto countsOf = [](const Evidence& evidence) {
        std::set<std::uint64_t> counts;
        for (const Site& site : evidence.sites)
            if (!site.weights && !site.vocabulary && site.rows->rows() >= leastMapRows)
                counts.insert(site.rows->rows());
        return counts;
    };
    const std::set<std::uint64_t> ofSource = countsOf(source);
    return std::ranges::any_of(countsOf(target), [&](std::uint64_t rows) { return ofSource.contains(rows); });
}

// Without TARGET, SOURCE holds statistics of both sides.
Alignment matchStatistics(const AlignOptions& options, const Job& job, std::unique_ptr<Output>& output) {
    requireFree(job.host.files, options.output);
    const std::shared_ptr<const Statistics> statistics =
        statisticsOfBoth(job.host.files, options.source, "align", options.partial);
    const MatchFlags& flags = options.match;
    if (flags.rows > 0 || flags.skipFirst > 0 || !options.gains.empty())
        throw Error(ErrorCode::usage, options.source,
                    "--rows, --skip-first and --gains were settled when these statistics were summed; give them to "
                    "'regauge stats'");
    output = claim(job.host.files, options.output);
    return match(*statistics, flags.options(job.host), job.progress());
}

// Vocabularies of two lengths are paired by token number.
void sayShared(const Evidence& source, const Evidence& target, const Job& job) {
    for (const Site& site : source.sites) {
        if (!site.vocabulary) continue;
        for (const Site& other : target.sites)
            if (site.name == other.name && other.vocabulary && site.rows->rows() != other.rows->rows())
                job.say(site.name + ": " + std::to_string(site.rows->rows()) + " rows against " +
                        std::to_string(other.rows->rows()) + "; the tokens that both have are paired, the first " +
                        std::to_string(std::min(site.rows->rows(), other.rows->rows())));
    }
}

// Nothing on the members of a team that do not lead.
std::optional<Alignment> matchEvidence(const AlignOptions& options, const Job& job, std::unique_ptr<Output>& output,
                                       bool& mapped) {
    Evidence source, target;
    const auto open = [&] {
        Files& files = job.host.files;
        if (leads(job)) requireFree(files, options.output);
        requireRows(files, options.source, options.target);
        source = openEvidence(files, options.source, options.match.sites);
        target = openEvidence(files, options.target, options.match.sites);
        if (!options.gains.empty())
            addGains(source, files, options.gains[0]), addGains(target, files, options.gains[1]);
        if (leads(job)) {
            output = claim(files, options.output);
            sayShared(source, target, job);
            mapped = mayMap(source, target);
        }
    };
    MatchOptions wanted = options.match.options(job.host);
    wanted.team = job.host.team;
    if (wanted.team == nullptr) {
        open();
        return match(source, target, wanted, job.progress());
    }
    together(*wanted.team, open);
    if (leads(job)) return match(source, target, wanted, job.progress());
    helpMatch(source, target, wanted);
    return std::nullopt;
}

// Residual stream, heads and neurons of two checkpoints.
int alignHidden(const AlignOptions& options, const Job& job) {
    Files& files = job.host.files;
    requireFree(files, options.output);
    if (options.target.empty() || !options.gains.empty() || job.host.team != nullptr)
        throw Error(ErrorCode::usage, options.source,
                    "--hidden takes two checkpoints, SOURCE and TARGET, on one machine and without --gains");
    const std::unique_ptr<Output> output = claim(files, options.output);
    const HiddenAlignment found =
        matchHidden(files, options.source, options.target, options.match.options(job.host), job.progress());
    writeText(output.get(), toJson(GaugeFile{found.residual, found.hidden}));
    if (job.json)
        job.print(hiddenJson(found));
    else if (!job.quiet)
        job.print(summaryText(found.residual) + "\n" + hiddenText(found));
    sayWhere(job, options.output.path);
    return statusOf(found.residual);
}

}  // namespace

void addMatchFlags(CLI::App& command, MatchFlags& flags) {
    const auto among = [](const Words& words) {
        return CLI::IsMember(std::vector<std::string>(words.begin(), words.end()));
    };
    command
        .add_option("--group", flags.group, "signed (RMSNorm), permutation (the baseline without signs) or layernorm")
        ->check(among(groupWords()));
    command.add_option("--statistic", flags.statistic, either(statisticWords()))->check(among(statisticWords()));
    command.add_option("--site", flags.sites, "use only this site; may be given several times")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_option("--rows", flags.rows, "use only the first N rows of each site")->check(positive());
    command.add_option("--skip-first", flags.skipFirst, "leave out the first N rows of each sequence (BOS)");
    command.add_option("--threads", flags.threads, "threads to use; the answer does not depend on it")
        ->check(CLI::Range(1, 1024));
}

MatchOptions MatchFlags::options(const Host& host) const {
    MatchOptions options;
    options.group = *groupFromName(group);
    options.statistic = *statisticFromName(statistic);
    options.sites = sites;
    if (rows > 0) options.rows = rows;
    options.skipFirst = skipFirst;
    options.memory = host.memory();
    options.threads = threads > 0 ? threads : host.threads;
    return options;
}

RunJob addAlign(CLI::App& command) {
    auto options = std::make_shared<AlignOptions>();
    command
        .add_option(
            "SOURCE", options->source,
            "evidence of the source model: a file or folder; or statistics of both (see 'regauge stats --help')")
        ->required();
    command.add_option("TARGET", options->target, "evidence of the target model on the same tokens");
    addOutput(command, options->output, false, "the gauge file to write");
    addMatchFlags(command, options->match);
    command.add_option("--gains", options->gains, "two more files with gains, of the source and of the target")
        ->expected(2);

    command.add_flag("--partial", options->partial, "with statistics: align even where rows are missing");
    command.add_flag("--hidden", options->hidden,
                     "of two checkpoints: match MLP neurons and attention heads, too (docs/hidden.md)");

    return [options](const Job& job) {
        if (options->hidden) return alignHidden(*options, job);
        std::unique_ptr<Output> output;
        std::optional<Alignment> matched;
        bool mapped = false;  // whether a map may be asked for where no gauge is found
        if (!options->target.empty())
            matched = matchEvidence(*options, job, output, mapped);
        else if (leads(job))
            matched = matchStatistics(*options, job, output);
        if (!matched) return 0;
        const Alignment& alignment = *matched;
        writeText(output.get(), toJson(alignment));
        if (job.json)
            job.print(summaryJson(alignment));
        else if (!job.quiet)
            job.print(summaryText(alignment));
        sayWhere(job, options->output.path);
        if (alignment.verdict == Verdict::unrelated && mapped)
            job.say("a map may still move vectors and SAEs between them: regauge map " + shellWord(options->source) +
                    " " + shellWord(options->target) + " -o map.safetensors");
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
    command
        .add_option("CHECKPOINTS", options->checkpoints,
                    "evidence files or checkpoint folders, in the order of training")
        ->required();
    addOutput(command, options->output, false, "the gauge file to write, from the first checkpoint to the last");
    command.add_option("--locals", options->locals, "a folder to write every local gauge to");
    addMatchFlags(command, options->match);

    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        requireFree(job.host.files, {options->locals, options->output.force});
        const Files& files = job.host.files;
        for (const std::string& path : options->checkpoints)  // named as inputs before the output is claimed
            if (files.isFolder(path))
                files.list(path);
            else
                files.open(path);
        const std::unique_ptr<Output> output = claim(job.host.files, options->output);
        const Trace result =
            trace(job.host.files, options->checkpoints, options->match.options(job.host), job.progress());
        const auto nameOf = [&](std::size_t checkpoint) { return shown(options->checkpoints[checkpoint]); };
        if (!options->locals.empty()) {
            const std::unique_ptr<Output> folder = job.host.files.create(options->locals, true, options->output.force);
            for (const Hop& hop : result.tried) {
                const std::string text = toJson(hop.alignment);
                folder->file(std::to_string(hop.from) + "-" + std::to_string(hop.to) + ".json")
                    .write(std::as_bytes(std::span(text)));
            }
            folder->commit();
        }
        writeText(output.get(), toJson(result.alignment));

        if (job.json) {
            job.print(traceJson(result));
        } else if (!job.quiet) {
            std::string text =
                summaryText(result.alignment) + "\nthe path, and the estimated share of right channels of each hop\n";
            for (std::size_t k = 0; k < result.hops.size(); ++k) {
                const Hop& hop = result.hops[k];
                text += "  " + nameOf(hop.from) + " -> " + nameOf(hop.to) + "  " + percent(hop.alignment.estimate) +
                        (k == result.weakest && result.hops.size() > 1 ? "  (the weakest)" : "") + "\n";
            }
            for (const Hop& hop : result.tried)
                if (hop.cycle && hop.alignment.verdict != Verdict::unrelated)
                    text += "cycle: " + nameOf(hop.from) + " -> " + nameOf(hop.to) + " agrees with the path on " +
                            percent(*hop.cycle) + " of the channels\n";
            text += "directly " + percent(result.direct) + ", through every checkpoint " + percent(result.hopByHop) +
                    ", traced " + percent(result.alignment.estimate) + "\n";
            job.print(text);
        }
        sayWhere(job, options->output.path);
        return statusOf(result.alignment);
    };
}

}  // namespace regauge

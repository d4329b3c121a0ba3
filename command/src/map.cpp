// The subcommand that fits maps between sites of two models: map.
#include "regauge/map.hpp"

#include <cmath>
#include <memory>
#include <optional>

#include "jobs.hpp"
#include "regauge/error.hpp"
#include "regauge/map_reports.hpp"

namespace regauge {
namespace {

std::optional<double> ridgeOf(const std::string& text) {
    if (text == "auto") return std::nullopt;
    try {
        std::size_t read = 0;
        const double value = std::stod(text, &read);
        if (read == text.size() && value >= 0 && std::isfinite(value)) return value;
    } catch (const std::exception&) {  // said below
    }
    throw Error(ErrorCode::usage, "--ridge " + text,
                "expected auto, or a number of at least 0 in the units of scikit-learn's Ridge(alpha)");
}

struct Options {
    std::string source, target, family = "auto", ridge = "auto";
    std::vector<std::string> sites;
    std::uint64_t rows = 0, skipFirst = 0;
    unsigned threads = 0;
    bool partial = false;
    OutputOptions output;
};

void declare(CLI::App& command, Options& options) {
    command
        .add_option("SOURCE", options.source,
                    "evidence of the source model: a file or folder; or, alone, statistics by 'regauge stats --map'")
        ->required();
    command.add_option("TARGET", options.target,
                       "evidence of the target model on the same tokens; its width may differ");
    addOutput(command, options.output, false, "the map file to write (.safetensors)");
    command
        .add_option("--family", options.family,
                    "auto (the lowest rung that held-out rows call no worse than the best), identity, gauge, "
                    "orthogonal or affine")
        ->check(CLI::IsMember({"auto", "identity", "gauge", "orthogonal", "affine"}));
    command
        .add_option("--site", options.sites,
                    "SOURCE_SITE=TARGET_SITE, or one name for both; may be given several times. Without it: the best "
                    "target site for each source site")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_option("--ridge", options.ridge,
                       "the penalty of affine maps, as scikit-learn's alpha; auto (the default) by held-out rows");
    command.add_option("--rows", options.rows, "use only the first N rows of each site")->check(positive());
    command.add_option("--skip-first", options.skipFirst, "leave out the first N rows of each sequence (BOS)");
    command.add_flag("--partial", options.partial, "also where rows are missing from the statistics");
    command.add_option("--threads", options.threads, "threads to use; the answer does not depend on it")
        ->check(CLI::Range(1, 1024));
}

MapOptions wantedBy(const Options& options, const Host& host) {
    MapOptions wanted;
    wanted.family = mapFamilyFromName(options.family);
    wanted.ridge = ridgeOf(options.ridge);
    for (const std::string& text : options.sites) wanted.sites.push_back(sitesOfMap(text));
    if (options.rows > 0) wanted.rows = options.rows;
    wanted.skipFirst = options.skipFirst;
    wanted.threads = options.threads > 0 ? options.threads : host.threads;
    wanted.memory = host.memory();
    wanted.team = host.team;
    return wanted;
}

// Without TARGET, SOURCE holds the sums of both sides.
MapSet mapsOfStatistics(const Options& options, const MapOptions& wanted, const Job& job) {
    const std::shared_ptr<const Statistics> statistics =
        statisticsOfBoth(job.host.files, options.source, "map", options.partial);
    if (options.rows > 0 || options.skipFirst > 0)
        throw Error(
            ErrorCode::usage, options.source,
            "--rows and --skip-first were settled when these statistics were summed; give them to 'regauge stats'");
    return fitMaps(*statistics, wanted, job.progress());
}

// Nothing on the members of a team that do not lead.
std::optional<MapSet> mapsOfRows(const Options& options, const MapOptions& wanted, const Job& job) {
    Evidence source, target;
    const auto open = [&] {
        if (leads(job)) requireFree(job.host.files, options.output);
        requireRows(job.host.files, options.source, options.target);
        source = openEvidence(job.host.files, options.source);
        target = openEvidence(job.host.files, options.target);
    };
    if (wanted.team == nullptr)
        open();
    else
        together(*wanted.team, open);
    if (leads(job)) return fitMaps(source, target, wanted, job.progress());
    helpMaps(source, target, wanted);
    return std::nullopt;
}

// What the job prints, and says of the file.
void report(const MapSet& maps, const Options& options, const Job& job) {
    if (job.json)
        job.print(mapsJson(maps));
    else if (!job.quiet)
        job.print(mapsText(maps));
    if (options.output.path.empty())
        job.say("the map was not written; -o FILE writes it");
    else
        job.wrote(options.output.path);
}

}  // namespace

RunJob addMap(CLI::App& command) {
    auto options = std::make_shared<Options>();
    declare(command, *options);
    return [options](const Job& job) {
        const MapOptions wanted = wantedBy(*options, job.host);
        std::optional<MapSet> found;
        if (!options->target.empty()) {
            found = mapsOfRows(*options, wanted, job);
        } else if (leads(job)) {
            requireFree(job.host.files, options->output);
            found = mapsOfStatistics(*options, wanted, job);
        }
        if (!found) return 0;
        const MapSet& maps = *found;
        if (!options->output.path.empty()) {
            const std::unique_ptr<Output> file =
                job.host.files.create(options->output.path, false, options->output.force);
            writeMaps(maps, file->file(""));
            file->commit();
        }
        report(maps, *options, job);
        return maps.best().helps ? 0 : 1;
    };
}

}  // namespace regauge

// The subcommand that fits maps between sites of two models: map.
#include "regauge/map.hpp"

#include <cmath>
#include <memory>

#include "jobs.hpp"
#include "regauge/error.hpp"
#include "regauge/map_reports.hpp"

namespace regauge {
namespace {

std::pair<std::string, std::string> sitesOf(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) return {text, text};
    return {text.substr(0, equals), text.substr(equals + 1)};
}

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
    OutputOptions output;
};

void declare(CLI::App& command, Options& options) {
    command.add_option("SOURCE", options.source, "evidence of the source model: a file or folder")->required();
    command
        .add_option("TARGET", options.target, "evidence of the target model on the same tokens; its width may differ")
        ->required();
    addOutput(command, options.output, false, "the map file to write (.safetensors)");
    command
        .add_option(
            "--family", options.family,
            "auto (the lowest rung that held-out rows call no worse than the best), gauge, orthogonal or affine")
        ->check(CLI::IsMember({"auto", "identity", "gauge", "orthogonal", "affine"}));
    command
        .add_option("--site", options.sites,
                    "SOURCE_SITE=TARGET_SITE, or one name for both; may be given several times. Without it: the best "
                    "target site for each source site")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_option("--ridge", options.ridge,
                       "the penalty of affine maps, as scikit-learn's alpha; auto (the default) by held-out rows");
    command.add_option("--rows", options.rows, "use only the first N rows of each site")->check(CLI::PositiveNumber);
    command.add_option("--skip-first", options.skipFirst, "leave out the first N rows of each sequence (BOS)");
    command.add_option("--threads", options.threads, "threads to use; the answer does not depend on it")
        ->check(CLI::Range(1, 1024));
}

MapOptions wantedBy(const Options& options, const Host& host) {
    MapOptions wanted;
    wanted.family = mapFamilyFromName(options.family);
    wanted.ridge = ridgeOf(options.ridge);
    for (const std::string& text : options.sites) wanted.sites.push_back(sitesOf(text));
    if (options.rows > 0) wanted.rows = options.rows;
    wanted.skipFirst = options.skipFirst;
    wanted.threads = options.threads > 0 ? options.threads : host.threads;
    wanted.memory = host.memory();
    return wanted;
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
        requireFree(job.host.files, options->output);
        const MapOptions wanted = wantedBy(*options, job.host);
        const Evidence source = openEvidence(job.host.files, options->source),
                       target = openEvidence(job.host.files, options->target);
        const MapSet maps = fitMaps(source, target, wanted, job.progress());
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

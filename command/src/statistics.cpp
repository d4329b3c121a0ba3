// The subcommands that sum rows in parts: stats, merge-stats.
#include "regauge/statistics.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/shell_words.hpp"
#include "io/json_text.hpp"
#include "jobs.hpp"
#include "regauge/error.hpp"
#include "shown.hpp"

namespace regauge {
namespace {

// "3/8": the third of eight parts.
void parseShard(const std::string& text, StatisticsOptions& options) {
    const char* end = text.data() + text.size();
    std::uint64_t part = 0, parts = 0;
    const auto first = std::from_chars(text.data(), end, part);
    const auto second = first.ec == std::errc() && first.ptr != end && *first.ptr == '/'
                            ? std::from_chars(first.ptr + 1, end, parts)
                            : first;
    constexpr std::uint64_t mostParts = 1'000'000;
    if (second.ec != std::errc() || second.ptr != end || part < 1 || part > parts || parts > mostParts)
        throw Error(ErrorCode::usage, "--shard", "expected K/N with K from 1 to N, such as 3/8, found '" + text + "'");
    options.part = part - 1, options.parts = parts;
}

std::string rangesText(const Statistics::SiteHeading& site) {
    std::string text;
    for (const auto& [begin, end] : site.covered)
        text += (text.empty() ? "" : ", ") + std::to_string(begin) + " .. " + std::to_string(end - 1);
    return text.empty() ? "none" : text;
}

std::string inputsText(const std::vector<Statistics::Input>& inputs) {
    return shown(inputs.front().name) +
           (inputs.size() > 1 ? " and " + std::to_string(inputs.size() - 1) + " more" : "");
}

// Writes a statistics file whole or not at all, and says what is in it.
int writeAndTell(const Job& job, const OutputOptions& output,
                 const std::function<Statistics::Heading(ByteSink&)>& write) {
    const std::unique_ptr<Output> file = job.host.files.create(output.path, false, output.force);
    const Statistics::Heading written = write(file->file(""));
    file->commit();
    if (job.json)
        job.print(statisticsJson(written));
    else if (!job.quiet)
        job.print(statisticsText(written));
    job.wrote(output.path);
    return 0;
}

// What `stats` was asked.
struct StatsOptions {
    std::string source, target, shard, like;
    std::uint64_t firstRow = 0;
    bool fit = false, map = false;
    MatchFlags match;
    std::vector<std::string> gains;
    OutputOptions output;
};

// Sums for maps have no choices but the rows.
void requireForMaps(const StatsOptions& options) {
    const MatchFlags usual;
    if (options.match.group != usual.group || options.match.statistic != usual.statistic || !options.gains.empty())
        throw Error(ErrorCode::usage, "--map", "takes no --group, --statistic or --gains, which are for gauges");
}

}  // namespace

std::shared_ptr<const Statistics> openStatistics(const Files& files, const std::string& path) {
    if (!files.exists(path) || files.isFolder(path)) return nullptr;
    std::shared_ptr<const ByteSource> file = files.open(path);
    return Statistics::recognises(*file) ? std::make_shared<const Statistics>(std::move(file)) : nullptr;
}

std::shared_ptr<const Statistics> statisticsOfBoth(const Files& files, const std::string& path,
                                                   const std::string& command, bool partial) {
    std::shared_ptr<const Statistics> statistics = openStatistics(files, path);
    if (!statistics)
        throw Error(ErrorCode::usage, path,
                    "TARGET is missing; only statistics ('regauge stats" +
                        std::string(command == "map" ? " --map" : "") +
                        "') hold both sides in one file; see 'regauge " + command + " --help'");
    const std::string missing = statistics->missing();
    if (!missing.empty() && !partial)
        throw Error(ErrorCode::usage, path,
                    missing + " are not in it; merge the other parts too ('regauge merge-stats'), or " + command +
                        " what is there with --partial");
    return statistics;
}

void requireRows(const Files& files, const std::string& source, const std::string& target) {
    for (const std::string& path : {source, target})
        if (const auto statistics = openStatistics(files, path))
            throw Error(ErrorCode::usage, path,
                        std::string("holds the sums of both sides; give it alone: regauge ") +
                            (statistics->heading().forMaps() ? "map " : "align ") + shellWord(path));
}

std::string statisticsText(const Statistics::Heading& heading) {
    std::string text = "sums over paired rows, d = " + std::to_string(heading.d) +
                       (heading.forMaps() ? " to d = " + std::to_string(heading.mapWidth) + ", for maps" : "") +
                       (heading.withGram ? "" : ", without Gram matrices") + ", from " + inputsText(heading.source) +
                       " to " + inputsText(heading.target) + "\n";
    for (const Statistics::SiteHeading& site : heading.sites)
        text += "  " + shown(site.name) + ": rows " + rangesText(site) + ", " + std::to_string(site.rows) +
                " summed, " + std::to_string(site.setAside) + " massive ones set aside\n";
    if (!heading.sourceGains.empty())
        text += "  gains: " + std::to_string(heading.sourceGains.size()) + " of the source, " +
                std::to_string(heading.targetGains.size()) + " of the target\n";
    const std::string missing = Statistics::missingRows(heading);
    return text + (missing.empty() ? "  nothing is missing\n" : "  missing: " + shown(missing) + "\n");
}

std::string statisticsJson(const Statistics::Heading& heading) {
    using Json = nlohmann::ordered_json;
    const auto names = [](const std::vector<Statistics::Input>& inputs) {
        Json list = Json::array();
        for (const Statistics::Input& input : inputs) list.push_back(input.name);
        return list;
    };
    Json sites = Json::array();
    for (const Statistics::SiteHeading& site : heading.sites)
        sites.push_back({{"name", site.name},
                         {"weights", site.weights},
                         {"covered", site.covered},
                         {"known", site.known},
                         {"rows", site.rows},
                         {"set_aside", site.setAside}});
    Json json{{"kind", "statistics"},
              {"d", heading.d},
              {"gram", heading.withGram},
              {"skip_first", heading.skipFirst},
              {"sites", std::move(sites)},
              {"gains", {heading.sourceGains.size(), heading.targetGains.size()}},
              {"missing", Statistics::missingRows(heading)},
              {"source", names(heading.source)},
              {"target", names(heading.target)}};
    if (heading.forMaps()) json["map_width"] = heading.mapWidth;
    return jsonText(json) + "\n";
}

RunJob addStats(CLI::App& command) {
    auto options = std::make_shared<StatsOptions>();
    command.add_option("SOURCE", options->source, "evidence of the source model: a file or folder")->required();
    command.add_option("TARGET", options->target, "evidence of the target model on the same tokens")->required();
    addOutput(command, options->output, true, "the statistics file to write");
    command.add_option("--shard", options->shard, "K/N: sum part K of N even parts of the rows, K from 1 to N");
    command.add_option("--first-row", options->firstRow,
                       "the number of the first row, where other files hold the rows before it");
    command.add_flag("--fit", options->fit,
                     "sum nothing: only the scale of the rows, for --like where rows lie in several files");
    command.add_option("--like", options->like, "take the scale of the rows from this statistics file");
    command.add_flag("--map", options->map,
                     "sum for 'regauge map' instead of 'regauge align': the widths may differ, and --site is "
                     "SOURCE_SITE=TARGET_SITE");
    addMatchFlags(command, options->match);
    command.add_option("--gains", options->gains, "two more files with gains, of the source and of the target")
        ->expected(2);

    return [options](const Job& job) {
        const Files& files = job.host.files;
        StatisticsOptions wanted;
        if (!options->shard.empty()) parseShard(options->shard, wanted);
        requireFree(files, options->output);
        wanted.match = options->match.options(job.host);
        wanted.firstRow = options->firstRow;
        wanted.fitOnly = options->fit;
        wanted.forMaps = options->map;
        std::shared_ptr<const Statistics> like;
        if (!options->like.empty()) {
            like = openStatistics(files, options->like);
            if (!like)
                throw Error(ErrorCode::usage, options->like,
                            "expected a statistics file, as 'regauge stats --fit' writes it");
            wanted.like = like.get();
        }
        std::vector<std::string> sourceSites = wanted.match.sites, targetSites = sourceSites;
        if (options->map) {
            requireForMaps(*options);
            std::ranges::transform(sourceSites, sourceSites.begin(), [](auto& text) { return sitesOfMap(text).first; });
            std::ranges::transform(targetSites, targetSites.begin(),
                                   [](auto& text) { return sitesOfMap(text).second; });
        }
        Evidence source = openEvidence(files, options->source, sourceSites),
                 target = openEvidence(files, options->target, targetSites);
        if (!options->gains.empty())
            addGains(source, files, options->gains[0]), addGains(target, files, options->gains[1]);
        return writeAndTell(job, options->output, [&](ByteSink& out) {
            return writeStatistics(source, target, wanted, out, job.progress());
        });
    };
}

RunJob addMergeStats(CLI::App& command) {
    struct Options {
        std::vector<std::string> parts;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("FILES", options->parts, "statistics files, in any order")->required();
    addOutput(command, options->output, true, "the statistics file to write");

    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        std::vector<std::shared_ptr<const Statistics>> parts;
        for (const std::string& path : options->parts) {
            if (path == options->output.path)
                throw Error(ErrorCode::usage, path,
                            "is one of the inputs, which are never overwritten; name another output");
            parts.push_back(openStatistics(job.host.files, path));
            if (!parts.back())
                throw Error(job.host.files.exists(path) ? ErrorCode::malformed : ErrorCode::missingFile, path,
                            "expected a statistics file, as 'regauge stats' writes them");
        }
        return writeAndTell(job, options->output, [&](ByteSink& out) {
            return mergeStatistics(parts, out, job.progress(), job.host.memory());
        });
    };
}

}  // namespace regauge

// One function a subcommand: it adds the subcommand to the app, and what it returns runs when the words were right.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <new>
#include <string>

#include "held_files.hpp"
#include "progress_bar.hpp"
#include "regauge/command.hpp"
#include "regauge/match.hpp"
#include "regauge/statistics.hpp"
#include "shown.hpp"

namespace regauge {

// What every subcommand has at hand when it runs.
struct Job {
    Host& host;           // its files hold outputs back, and its streams escape what a terminal would obey
    Host& lent;           // as the face lent it: for the progress bar, which moves the cursor
    HeldFiles& held;      // until then
    bool json = false;    // --json: one JSON object on stdout
    bool quiet = false;   // --quiet: no progress, no messages; only errors
    bool noSync = false;  // --no-sync: outputs need not be on disk when the command ends

    // A message of one line.
    void say(const std::string& line) const {
        if (!quiet) host.err(shown(line) + "\n");
    }
    // The answer, in which names from files were given to shown(). Throws where it does not arrive.
    void print(const std::string& text) const { host.out(text); }
    // Puts the outputs in their places, after the answer, which may still fail; then says what was done and where.
    void wrote(const std::string& path, const std::string& done = "") const {
        held.release();
        try {
            if (!done.empty()) say(done);
            say("wrote " + path);
        } catch (const std::bad_alloc&) {  // it is written all the same
        }
    }
    Progress progress() const {
        if (host.progress) return Progress(host.progress);
        return quiet ? Progress([this](auto&&...) { return !host.cancelled(); }) : progressBar(lent);
    }
};

// Whether this process decides, writes and speaks.
inline bool leads(const Job& job) { return job.host.team == nullptr || job.host.team->rank() == 0; }

// Runs a subcommand; the exit status.
using RunJob = std::function<int(const Job&)>;

RunJob addInspect(CLI::App& command);
RunJob addAlign(CLI::App& command);
RunJob addStats(CLI::App& command);
RunJob addMergeStats(CLI::App& command);
RunJob addShow(CLI::App& command);
RunJob addCompose(CLI::App& command);
RunJob addInvert(CLI::App& command);
RunJob addCompare(CLI::App& command);
RunJob addTrace(CLI::App& command);
RunJob addTransport(CLI::App& command);
RunJob addVerify(CLI::App& command);
RunJob addActivations(CLI::App& command);
RunJob addCeiling(CLI::App& command);
RunJob addMerge(CLI::App& command);
RunJob addAudit(CLI::App& command);
RunJob addSteer(CLI::App& command);
RunJob addMap(CLI::App& command);
RunJob addCompletion(CLI::App& command);

// The gauge options that several subcommands share: -o OUT and --force.
struct OutputOptions {
    std::string path;
    bool force = false;
};
void addOutput(CLI::App& command, OutputOptions& output, bool required, const std::string& what);

// Checks of an option's number, which NaN does not pass.
CLI::Validator positive();
CLI::Validator notNegative();

// The options that say how evidence is matched.
struct MatchFlags {
    std::string group = "signed", statistic = "auto";
    std::vector<std::string> sites;
    std::uint64_t rows = 0, skipFirst = 0;
    unsigned threads = 0;
    MatchOptions options(const Host& host) const;
};
void addMatchFlags(CLI::App& command, MatchFlags& flags);

// The file as statistics; nothing where it is something else, a folder or not there. Throws Error where it is damaged.
std::shared_ptr<const Statistics> openStatistics(const Files& files, const std::string& path);
// The sums of both sides, of which `command` ("align", "map") takes no TARGET beside. Throws Error(usage) where the
// file holds none, or not all rows and that was not asked for.
std::shared_ptr<const Statistics> statisticsOfBoth(const Files& files, const std::string& path,
                                                   const std::string& command, bool partial);
// Throws Error(usage) where SOURCE or TARGET is such a file, with the command that takes it.
void requireRows(const Files& files, const std::string& source, const std::string& target);
// What it holds: in words, and as one JSON object.
std::string statisticsText(const Statistics::Heading& heading);
std::string statisticsJson(const Statistics::Heading& heading);

// The output, before long work begins and after the inputs were opened, so that what forbids it is told at once: it is
// taken, an input, or in no folder. Nothing where no path was given. What is written appears with commit().
std::unique_ptr<Output> claim(Files& files, const OutputOptions& output);
// Writes `text` to what was claimed, if anything was.
void writeText(Output* claimed, const std::string& text);
// Writes `text` to the path, whole or not at all. Throws Error(outputExists) unless forced.
void writeText(Files& files, const OutputOptions& output, const std::string& text);
// Throws Error(outputExists) before long work begins.
void requireFree(const Files& files, const OutputOptions& output);

}  // namespace regauge

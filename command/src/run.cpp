#include <algorithm>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <system_error>

#include "jobs.hpp"
#include "regauge/error.hpp"
#include "regauge/version.hpp"

namespace regauge {
namespace {

constexpr int refused = 2, interrupted = 130;
constexpr const char* notEnoughMemory = "not enough memory; the inputs were left as they are and nothing was written";

// Every subcommand: its name, what it does, an example for its --help, and its options.
struct Subcommand {
    const char* name;
    const char* purpose;
    const char* example;
    RunJob (*add)(CLI::App&);
    bool shared = false;  // the processes of a team do it together; everything else the first of them does alone
};
constexpr Subcommand subcommands[] = {
    {"inspect", "Say what is inside files, and how each tensor would move.", "regauge inspect source/sae_resid2",
     addInspect},
    {"align", "Find the gauge from SOURCE coordinates to TARGET coordinates.",
     "regauge align source/evidence.safetensors target/evidence.safetensors -o gauge.json", addAlign, true},
    {"stats", "Sum the rows of a pair, or a part of them, into a file that 'align' takes in their place.",
     "regauge stats source/evidence.safetensors target/evidence.safetensors --shard 1/8 -o part-1.stats", addStats},
    {"merge-stats", "Add up the statistics of parts of the rows; any order gives the same file.",
     "regauge merge-stats part-*.stats -o all.stats && regauge align all.stats -o gauge.json", addMergeStats},
    {"show", "Summarise a gauge or a map in words.", "regauge show gauge.json", addShow},
    {"compose", "Compose gauges, the first one first.", "regauge compose a-to-b.json b-to-c.json -o a-to-c.json",
     addCompose},
    {"invert", "Invert a gauge: from the target back to the source.", "regauge invert gauge.json -o back.json",
     addInvert},
    {"compare", "Say how far two gauges agree.", "regauge compare gauge.json reference.json", addCompare},
    {"trace", "Find the gauge from the first to the last of a series of checkpoints, through those between.",
     "regauge trace step-100 step-200 step-400 -o gauge.json", addTrace},
    {"transport", "Move an object into the target's coordinates.",
     "regauge transport steering.npy --gauge gauge.json -o moved.npy", addTransport},
    {"map", "Fit maps between sites of two models that no gauge relates, also of other widths.",
     "regauge map source/evidence.safetensors target/evidence.safetensors -o map.safetensors", addMap, true},
    {"verify", "Do two checkpoints compute the same function? (small models)",
     "regauge verify source moved --tokens tokens.npy", addVerify},
    {"activations", "Sample activation evidence from a small checkpoint.",
     "regauge activations source --tokens tokens.npy -o evidence.safetensors", addActivations},
    {"ceiling", "Simulate what matching without signs can reach at most, and what matching with signs does.",
     "regauge ceiling --d 128 --rows 1024 -o ceiling.svg", addCeiling},
    {"merge", "Average two checkpoints, B moved into A's coordinates.",
     "regauge merge A B --gauge b-to-a.json -o merged", addMerge},
    {"audit", "Say how far a claim about channel numbers survives random gauges.", "regauge audit steering.npy --k 10",
     addAudit},
    {"steer",
     "Show what a steering vector does in the source, and in the target: moved, moved without signs, not moved. (small "
     "models)",
     "regauge steer source target --vector source/steering_resid2.npy --site resid.2 --gauge gauge.json --tokens "
     "source/tokens.npy",
     addSteer},
    {"completion", "Print a shell's completion of this command.", "regauge completion bash > regauge.bash",
     addCompletion},
};

// What `regauge` alone answers.
constexpr const char* firstSteps =
    "regauge: which command? Three to begin with, and `regauge --help` for all of them:\n"
    "  regauge inspect source/sae_resid2\n"
    "  regauge align source/evidence.safetensors target/evidence.safetensors -o gauge.json\n"
    "  regauge transport source/sae_resid2 --gauge gauge.json -o moved_sae\n";

std::string commandNames() {
    std::string names;
    for (const Subcommand& subcommand : subcommands)
        names += (names.empty() ? "" : ", ") + std::string(subcommand.name);
    return names;
}

// Says why, to whoever listens; the exit status.
int refuse(Host& host, const Error& error) {
    if (host.refused)
        host.refused(error);
    else
        host.err("regauge: " + shown(error.what()) + "\n");
    return error.code() == ErrorCode::cancelled ? interrupted : refused;
}

// The same where even the words may find no memory.
int refuseForMemory(Host& host) {
    try {
        return refuse(host, Error(ErrorCode::tooLarge, "", notEnoughMemory));
    } catch (const std::bad_alloc&) {
        host.err("regauge: not enough memory\n");
        return refused;
    }
}

// The members of a team make the same calls in the same order, so they must have been asked the same: otherwise one
// would wait for another for ever. Throws Error(usage) on all of them.
void requireSameWords(Team& team, const std::vector<std::string>& args) {
    std::uint32_t hash = 2166136261U;  // FNV-1a
    for (const std::string& arg : args)
        for (const char c : arg + '\0') hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    if (team.lowest(hash) != ~team.lowest(~hash))
        throw Error(ErrorCode::usage, "",
                    "the processes of this job were started with different words; give every one the same command");
}

using Jobs = std::vector<std::pair<CLI::App*, RunJob>>;

// The subcommands, and what the one that `word` names runs; where this process does not lead, only those that a team
// shares do anything. The options of the others are left out, since declaring them takes longer than many a command
// does; a completion tells of all.
Jobs addSubcommands(CLI::App& app, Job& job, const std::string& word) {
    Jobs jobs;
    for (const Subcommand& subcommand : subcommands) {
        CLI::App* command = app.add_subcommand(subcommand.name, subcommand.purpose);
        if (word != subcommand.name && word != "completion") continue;
        command->footer(std::string("Example:\n  ") + subcommand.example);
        const RunJob run = subcommand.add(*command);  // holds what the options are parsed into
        jobs.emplace_back(command, leads(job) || subcommand.shared ? run : RunJob([run](const Job&) { return 0; }));
        command->add_flag("--json", job.json, "print one JSON object on stdout");
        command->add_flag("--quiet", job.quiet, "no progress and no messages, only errors");
        if (command->get_option_no_throw("--output") != nullptr)
            command->add_flag("--no-sync", job.noSync,
                              "do not wait until the disk has the output: faster, and a power cut may leave it empty");
    }
    return jobs;
}

// The subcommand that was given, or null.
const Jobs::value_type* given(const Jobs& jobs) {
    const auto found = std::ranges::find_if(jobs, [](const auto& one) { return one.first->parsed(); });
    return found == jobs.end() ? nullptr : &*found;
}

void requireNoneEmpty(const std::vector<std::string>& words) {
    if (std::ranges::find(words, "") != words.end())
        throw Error(ErrorCode::usage, "",
                    "one of the words is empty, as a shell makes it of a variable that is not set; name something "
                    "there, or leave it out with its option");
}

void requireKnown(const std::string& command) {
    if (!command.starts_with('-') &&
        std::ranges::none_of(subcommands, [&](const Subcommand& known) { return command == known.name; }))
        throw Error(ErrorCode::usage, "",
                    "there is no command '" + command + "'; there are " + commandNames() + "; see 'regauge --help'");
}

// Parses the words into the options of `jobs` and runs the one that they name.
int parseAndRun(const std::vector<std::string>& args, CLI::App& app, const Jobs& jobs, const Job& job) {
    const Host& host = job.host;
    try {
        requireNoneEmpty(args);
        requireKnown(args[0]);
        app.parse(std::vector<std::string>(args.rbegin(), args.rend()));  // CLI11 takes them last first
        if (job.noSync) host.withoutSync();
        const auto* command = given(jobs);
        if (command == nullptr) throw Error(ErrorCode::usage, "", "no command was given; see 'regauge --help'");
        const int status = command->second(job);
        job.held.release();
        return status;
    } catch (const CLI::CallForVersion&) {
        host.out("regauge " + std::string(version) + "\n");
    } catch (const CLI::CallForHelp&) {
        const auto* command = given(jobs);
        host.out(command != nullptr ? command->first->help("regauge") : app.help());
    } catch (const CLI::ParseError& error) {
        const auto* command = given(jobs);
        throw Error(ErrorCode::usage, "",
                    std::string(error.what()) + "; see 'regauge " +
                        (command != nullptr ? command->first->get_name() + " " : "") + "--help'");
    }
    return 0;
}

// Throws Error and what the library throws, but no CLI::ParseError.
int runWords(const std::vector<std::string>& args, Host& lent) {
    if (lent.team != nullptr) requireSameWords(*lent.team, args);
    HeldFiles held(lent.files);
    Host host{.files = held,
              .out = [&](std::string_view text) { lent.out(shown(text, Lines::several)); },
              .err = [&](std::string_view text) { lent.err(shown(text, Lines::several)); },
              .errIsTerminal = lent.errIsTerminal,
              .cancelled = lent.cancelled,
              .threads = lent.threads,
              .memory = lent.memory,
              .progress = lent.progress,
              .refused = lent.refused,
              .team = lent.team,
              .withoutSync = lent.withoutSync};
    if (args.empty()) {
        host.err(firstSteps);
        return refused;
    }
    CLI::App app(
        "Moves steering vectors, SAEs, adapters, optimizer state and checkpoints between transformers whose "
        "residual-stream coordinates differ by a signed permutation.",
        "regauge");
    app.set_version_flag("--version", "regauge " + std::string(version));
    app.allow_windows_style_options(false);  // "/models/base" is a path there, too
    app.require_subcommand(1);
    app.footer(
        "`regauge COMMAND --help` tells more.  Exit status: 0 done; 1 done, but the answer is no; 2 refused, and one "
        "line says why; 130 cancelled.");
    Job job{host, lent, held};
    const Jobs jobs = addSubcommands(app, job, args[0]);
    return parseAndRun(args, app, jobs, job);
}

int runOrRefuse(const std::vector<std::string>& args, Host& host) {
    try {
        return runWords(args, host);
    } catch (const Error& error) {
        return refuse(host, error);
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::length_error&) {  // of an array longer than any memory
        return refuseForMemory(host);
    } catch (const std::system_error& error) {
        return refuse(host, Error(ErrorCode::internal, "",
                                  std::string("the system refused: ") + error.what() + "; nothing was written"));
    } catch (const std::exception& error) {
        return refuse(host, Error(ErrorCode::internal, "",
                                  std::string("a defect of regauge: ") + error.what() +
                                      "; please report it with the command you ran"));
    }
}

}  // namespace

int runCommand(const std::vector<std::string>& args, Host& host) {
    try {
        return runOrRefuse(args, host);
    } catch (const std::bad_alloc&) {  // also of words in which something was refused
        return refuseForMemory(host);
    }
}

CLI::Validator positive() {
    return {[](std::string& text) {
                return std::strtod(text.c_str(), nullptr) > 0 ? "" : "is " + text + ", and should be more than 0";
            },
            ""};
}

CLI::Validator notNegative() {
    return {[](std::string& text) {
                return std::strtod(text.c_str(), nullptr) >= 0 ? "" : "is " + text + ", and should be 0 or more";
            },
            ""};
}

void addOutput(CLI::App& command, OutputOptions& output, bool required, const std::string& what) {
    CLI::Option* option = command.add_option("-o,--output", output.path, what);
    if (required) option->required();
    option->check(CLI::Validator(
        [](std::string& path) {
            return path == "-" ? std::string(
                                     "outputs appear whole or not at all, so they need a file of their own: '-' "
                                     "(standard output) is none; name one")
                               : std::string();
        },
        ""));
    command.add_flag("--force", output.force, "overwrite an output that exists");
}

void requireFree(const Files& files, const OutputOptions& output) {
    const std::string& path = output.path;
    // Where nothing is at "org/name", files know it as a model of the hub's cache; "./org/name" is the place alone.
    const bool likeModel = std::ranges::count(path, '/') == 1 && path.find(':') == std::string::npos &&
                           !path.starts_with('/') && !path.starts_with('.');
    if (!path.empty() && !output.force && files.exists(likeModel ? "./" + path : path))
        throw Error(ErrorCode::outputExists, path,
                    "exists already; --force overwrites it, or choose another name with -o");
}

std::unique_ptr<Output> claim(Files& files, const OutputOptions& output) {
    return output.path.empty() ? nullptr : files.create(output.path, false, output.force);
}

void writeText(Output* claimed, const std::string& text) {
    if (claimed == nullptr) return;
    claimed->file("").write(std::as_bytes(std::span(text)));
    claimed->commit();
}

void writeText(Files& files, const OutputOptions& output, const std::string& text) {
    writeText(claim(files, output).get(), text);
}

}  // namespace regauge

// regauge_experiments [--quick] [--data FOLDER] [--results FOLDER] [--threads N] [--seeds N] [--study NAME] [--sample
// FOLDER]: trains the small models, evaluates regauge on them, and writes RESULTS.md and figures.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>

#include "report.hpp"
#include "sample.hpp"
#include "studies.hpp"

namespace regauge::experiments {
namespace {

namespace fs = std::filesystem;

struct Study {
    const char* name;
    Json (*run)(const Settings&, std::int64_t seed);
    bool wide = false;  // of the wider models; not in the quick run
};
constexpr Study studies[] = {{"ceiling", ceilingStudy},   {"recovery", recoveryStudy}, {"width", recoveryStudy, true},
                             {"evidence", evidenceStudy}, {"sae", saeStudy},           {"steering", steeringStudy},
                             {"merge", mergeStudy},       {"resume", resumeStudy},     {"sweep", sweepStudy}};

fs::path resultOf(const Settings& settings, const std::string& study, std::int64_t seed) {
    return settings.folder / "results" / (study + "." + std::to_string(seed) + ".json");
}

Settings quickSettings() {
    Settings settings;
    settings.name = "quick";
    settings.schedule.steps = 600;
    settings.schedule.tuneSteps = 500;
    settings.forks = {50, 100};
    settings.checkpointEvery = 150;
    settings.seeds = 3;
    settings.spacings = {50, 100};
    settings.rows = 512;
    settings.saeSteps = 600;
    settings.saeWindows = 128;
    settings.resumeSteps = 50;
    settings.signDraws = 4;
    settings.sweepGauges = 200;
    settings.folder = "build/experiments-quick";
    return settings;
}

// The runs are side by side, one thread each. torch keeps to that (Work), but OpenBLAS does not ask torch.
void oneThreadForBlas() {
    if (void* set = dlsym(RTLD_DEFAULT, "openblas_set_num_threads")) reinterpret_cast<void (*)(int)>(set)(1);
}

const Settings& settingsOf(const Study& study, const Settings& settings, const Settings& wide) {
    return study.wide ? wide : settings;
}

// What is there is not done again.
void evaluate(const Settings& settings, const Settings& wide, Work& work, const std::string& only) {
    std::vector<Job> jobs;
    for (const Study& study : studies) {
        const Settings& its = settingsOf(study, settings, wide);
        for (std::int64_t seed = 0; seed < its.seeds; ++seed) {
            if (!only.empty() && only != study.name) continue;
            jobs.push_back({std::string(study.name) + ", seed " + std::to_string(seed),
                            [&its, file = resultOf(settings, study.name, seed), study, seed]() -> std::string {
                                if (fs::exists(file)) return "";
                                writeText(file, study.run(its, seed).dump(1) + "\n");
                                return "done";
                            }});
        }
    }
    work.run("evaluation", std::move(jobs));
}

int run(int argc, char** argv) {
    Settings settings;
    settings.forks = {0, 50, 75, 100, 400};  // from end points that recover nothing to end points that recover all
    settings.folder = "build/experiments-data";
    fs::path results = "experiments";
    std::string only;
    fs::path sample;
    for (int k = 1; k < argc; ++k) {
        const std::string word = argv[k];
        const auto value = [&] {
            if (k + 1 >= argc) throw std::invalid_argument(word + " needs a value");
            return std::string(argv[++k]);
        };
        if (word == "--quick")
            settings = quickSettings(), results = settings.folder;
        else if (word == "--data")
            settings.folder = value();
        else if (word == "--results")
            results = value();
        else if (word == "--threads")
            settings.threads = static_cast<unsigned>(std::stoul(value()));
        else if (word == "--seeds")
            settings.seeds = std::stol(value());
        else if (word == "--sample")
            sample = value();
        else if (word == "--study")
            only = value();
        else
            throw std::invalid_argument("unknown option \"" + word +
                                        "\"; known: --quick, --data FOLDER, --results FOLDER, --threads N, --seeds N, "
                                        "--study NAME, --sample FOLDER");
    }
    oneThreadForBlas();
    Settings wide = wider(settings);
    wide.seeds = settings.name == "quick" ? 0 : std::min(wide.seeds, settings.seeds);
    fs::create_directories(settings.folder);
    Work work(settings.threads, settings.folder / "costs.tsv");
    trainAll(settings, work);
    if (wide.seeds > 0 && (only.empty() || only == "width")) trainAll(wide, work);
    evaluate(settings, wide, work, only);
    std::map<std::string, std::vector<Json>> all;
    for (const Study& study : studies)
        for (std::int64_t seed = 0; seed < settingsOf(study, settings, wide).seeds; ++seed)
            if (fs::exists(resultOf(settings, study.name, seed)))
                all[study.name].push_back(Json::parse(readText(resultOf(settings, study.name, seed))));
    writeReport(settings, all, results);
    if (!sample.empty()) writeSample(settings, sample);
    return 0;
}

}  // namespace
}  // namespace regauge::experiments

int main(int argc, char** argv) {
    try {
        return regauge::experiments::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "experiments: %s\n", error.what());
        return 2;
    }
}

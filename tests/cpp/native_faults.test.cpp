// Every system call of small jobs on real files fails in turn, is interrupted, does a part of its
// work, or is the process's last: what is at the output is what was there before, or the new, whole.
// Of many calls a part is tried; with REGAUGE_EVERY_FAULT in the environment, all.
#include "command_run.hpp"
#include "failing_system.hpp"

#if defined(__linux__) && !defined(__EMSCRIPTEN__)
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <utility>

#include "native_files.hpp"
#include "out_of_memory.hpp"
#include "refusal.hpp"
#include "regauge/command.hpp"
#include "regauge/error.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/io/gauge_json.hpp"
#include "scratch.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using test::FailingSystem;
using test::Fault;
namespace fs = std::filesystem;

namespace {

const std::string sample = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/";

using Tree = std::map<std::string, std::string>;  // every file by its relative path

Tree treeAt(const fs::path& folder) {
    Tree tree;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        std::string& text = tree[entry.path().lexically_relative(folder).string()];
        if (!entry.is_regular_file()) continue;
        std::ifstream file(entry.path(), std::ios::binary);
        text.assign(std::istreambuf_iterator<char>(file), {});
    }
    return tree;
}

// A job: its words, in which % stands for the folder that it works in, and what is there before.
struct FaultJob {
    std::string name;
    std::vector<std::string> args;
    std::vector<std::string> inputs;  // below `sample`; each under its last name
    bool replaces = false;            // the output is there, and an older one
};

std::vector<FaultJob> faultJobs() {
    const std::string rows = "%/evidence.safetensors", vector = "%/steering_resid2.npy";
    std::vector<FaultJob> jobs{
        {"vector", {"transport", vector, "--gauge", "%/g", "-o", "%/out"}, {"source/steering_resid2.npy"}},
        {"folder", {"transport", "%/sae_resid2", "--gauge", "%/g", "-o", "%/out"}, {"source/sae_resid2"}},
        {"align",
         {"align", rows, rows, "--statistic", "correlation", "--rows", "40", "-o", "%/out"},
         {"source/evidence.safetensors"}},
        {"merge", {"merge", "%/a", "%/b", "--gauge", "%/g", "-o", "%/out"}, {}}};
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}}) {
        FaultJob again = jobs[k];
        again.name += " again";
        again.args.push_back("--force");
        again.replaces = true;
        jobs.push_back(again);
    }
    return jobs;
}

class Bench {
public:
    explicit Bench(const FaultJob& job) : job_(job) {
        clear();
        before_ = treeAt(folder_.path());
        REQUIRE(runPlainly() == 0);
        done_ = treeAt(folder_.path());
        REQUIRE(done_ != before_);
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    // As it was before the job.
    void clear() const {
        fs::remove_all(folder_.path());
        fs::create_directories(folder_.path());
        std::string perm, sign;
        for (int i = 0; i < 128; ++i) perm += (i ? "," : "") + std::to_string(127 - i), sign += i ? ",-1" : "-1";
        std::ofstream(folder_ / "g") << R"({"format":"regauge-gauge","version":1,"d":128,"group":"signed","perm":[)"
                                     << perm << R"(],"sign":[)" << sign << "]}";
        for (const std::string& input : job_.inputs)
            fs::copy(sample + input, folder_.path() / fs::path(input).filename(), fs::copy_options::recursive);
        if (job_.args[0] == "merge") smallCheckpoint(folder_ / "a", 1), smallCheckpoint(folder_ / "b", 100);
        if (job_.replaces) {
            fs::copy(sample + job_.inputs[0], folder_ / "out", fs::copy_options::recursive);
            for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
                if (entry.path().string().find("/out/") != std::string::npos) fs::resize_file(entry.path(), 20);
            if (fs::is_regular_file(folder_ / "out")) fs::resize_file(folder_ / "out", 20);
        }
    }
    int runPlainly() const {
        NativeFiles files;
        return test::run(files, words()).status;
    }
    // The status; the number of calls goes to `calls`, where the fault never came.
    int runWith(Fault fault, long failing, bool exchanges, std::string* deeds = nullptr) const {
        clear();
        const std::vector<std::string> args = words();
        NativeFiles files;
        Host host{.files = files, .out = [](std::string_view) {}, .err = [](std::string_view) {}};
        const FailingSystem system(fault, failing, exchanges);
        const int status = runCommand(args, host);
        if (deeds != nullptr) *deeds = system.deeds();
        if (failing == LONG_MAX) calls = LONG_MAX - system.left();
        return status;
    }
    // How many calls of that kind the job makes.
    long callsOf(Fault fault, bool exchanges = true) const {
        REQUIRE(runWith(fault, LONG_MAX, exchanges) == 0);
        return calls;
    }
    std::string operator/(const std::string& name) const { return folder_ / name; }
    Tree now() const { return treeAt(folder_.path()); }
    const Tree& before() const { return before_; }
    const Tree& done() const { return done_; }

private:
    // A checkpoint of one layer.
    static void smallCheckpoint(const fs::path& folder, unsigned seed) {
        fs::create_directories(folder);
        std::ofstream(folder / "config.json")
            << R"({"model_type":"llama","hidden_size":128,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":8,)"
               R"("num_hidden_layers":1,"intermediate_size":8,"vocab_size":5,"tie_word_embeddings":true})";
        std::vector<test::Array> arrays;
        const auto add = [&](const std::string& name, const Shape& shape) {
            arrays.push_back(test::randomArray(name, shape, seed + static_cast<unsigned>(arrays.size())));
        };
        const std::string layer = "model.layers.0.";
        add("model.embed_tokens.weight", {5, 128}), add("model.norm.weight", {128});
        add(layer + "input_layernorm.weight", {128}), add(layer + "post_attention_layernorm.weight", {128});
        add(layer + "self_attn.q_proj.weight", {16, 128}), add(layer + "self_attn.k_proj.weight", {8, 128});
        add(layer + "self_attn.v_proj.weight", {8, 128}), add(layer + "self_attn.o_proj.weight", {128, 16});
        add(layer + "mlp.gate_proj.weight", {8, 128}), add(layer + "mlp.up_proj.weight", {8, 128});
        add(layer + "mlp.down_proj.weight", {128, 8});
        std::ofstream(folder / "model.safetensors", std::ios::binary) << test::safetensors(arrays);
    }
    std::vector<std::string> words() const {
        std::vector<std::string> args = job_.args;
        for (std::string& arg : args)
            if (arg.starts_with("%")) arg.replace(0, 1, folder_.path().string());
        return args;
    }

    FaultJob job_;
    test::Scratch folder_;
    Tree before_, done_;
    mutable long calls = 0;  // of the last job that no fault came to
};

// Without what is beside the output under a temporary name: the next run removes it.
Tree withoutStaged(Tree tree) {
    std::erase_if(tree, [](const auto& entry) { return entry.first.starts_with(".out.regauge-"); });
    return tree;
}

constexpr int escaped = 99;  // an exception that runCommand let out

// Its answer from a process of its own; 1000 and the signal that ended it.
template <class Work>
int inChild(Work work) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);
        if (::freopen("/dev/null", "w", stderr) == nullptr) ::_exit(1);
        try {
            ::_exit(work());
        } catch (...) {  // which would go on with the tests
            ::_exit(escaped);
        }
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// Which of `calls` calls are tried: all, or about `points`, the first and last among them.
std::vector<long> tried(long calls, long points) {
    if (std::getenv("REGAUGE_EVERY_FAULT") != nullptr) points = calls;
    const long stride = std::max(1L, calls / std::max(1L, points));
    std::vector<long> found;
    for (long call = 0; call < calls; call += call < 5 || call + 15 > calls ? 1 : stride) found.push_back(call);
    return found;
}

// For about `points` of each job's system calls, with and without an exchange of names: attempt(job, bench, call,
// exchanges).
template <class Attempt>
void forSystemCalls(long points, Attempt attempt) {
    for (const bool exchanges : {true, false})
        for (const FaultJob& job : faultJobs()) {
            const Bench bench(job);
            const long calls = bench.callsOf(Fault::error, exchanges);
            for (const long call : tried(calls, points)) {
                INFO(job.name << ", call " << call << " of " << calls << ", with renameat2: " << exchanges);
                attempt(job, bench, call, exchanges);
            }
        }
}

}  // namespace

#ifndef REGAUGE_ADDRESS_SANITIZER  // whose own allocations never fail (failing_system.cpp)
// Where no memory is to be had a job refuses, and where that is in a destructor, the process ends so
// (native/out_of_memory.hpp). With REGAUGE_EVERY_FAULT all allocations of the four jobs are tried, in six minutes of
// processor time.
TEST_CASE("faults: whichever allocation fails, a job refuses and leaves nothing", "[faults][allocations]") {
    for (const FaultJob& job : faultJobs()) {
        if (job.replaces) continue;
        const Bench bench(job);
        const long calls = bench.callsOf(Fault::memory);
        long refusals = 0;
        for (const Fault fault : {Fault::memory, Fault::memoryStays})
            for (const long call : tried(calls, 10)) {
                INFO(job.name << ", allocation " << call << " of " << calls
                              << ", and all after it: " << (fault == Fault::memoryStays));
                const int status = inChild([&] {
                    refuseWhereMemoryEnds();
                    return bench.runWith(fault, call, true);
                });
                const Tree now = withoutStaged(bench.now());
                refusals += status == 2 ? 1 : 0;
                CAPTURE(status);
                CHECK((status == 0 || status == 2));
                CHECK((status == 0 ? now == bench.done() : now == bench.before()));
            }
        CHECK(refusals > 10);
    }
}

TEST_CASE("faults: whichever allocation of a gauge file's text fails, that is a refusal", "[faults][allocations]") {
    constexpr int made = 0, refused = 2;
    const GaugeFile gauge{
        test::alignmentOf(test::randomGauge(4, 3)),
        HiddenGauge::identity({.layers = 1, .neurons = 2, .heads = 2, .kvHeads = 1, .headDim = 2, .pairs = 1})};
    long call = 0;
    for (int status = refused; status != made; ++call) {
        CAPTURE(call);
        status = inChild([&] {
            refuseWhereMemoryEnds();
            const FailingSystem system(Fault::memory, call, true);
            try {
                toJson(gauge);
                return made;
            } catch (const std::bad_alloc&) {
                return refused;
            }
        });
        REQUIRE((status == refused || status == made));
    }
    CHECK(call > 100);
}
#endif

TEST_CASE("faults: whichever system call fails, a job refuses and leaves nothing, or the call did not matter",
          "[faults]") {
    std::map<std::pair<std::string, bool>, long> refusals;
    forSystemCalls(40, [&](const FaultJob& job, const Bench& bench, long call, bool exchanges) {
        std::string deeds;
        const int status = bench.runWith(Fault::error, call, exchanges, &deeds);
        INFO(deeds);
        refusals[{job.name, exchanges}] += status == 2 ? 1 : 0;
        // Old names that could not be removed any more are the next run's.
        CHECK(
            (status == 2 ? bench.now() == bench.before() : status == 0 && withoutStaged(bench.now()) == bench.done()));
    });
    CHECK(refusals.size() == 2 * faultJobs().size());
    for (const auto& [job, count] : refusals) CHECK(count > 5);
}

TEST_CASE("faults: a disk that fails from some call on loses nothing that was there", "[faults]") {
    forSystemCalls(8, [](const FaultJob&, const Bench& bench, long call, bool exchanges) {
        const int status = inChild([&] { return bench.runWith(Fault::errorStays, call, exchanges); });
        const Tree left = bench.now();
        const auto isLeft = [&](const auto& file) {
            return std::ranges::any_of(left, [&](const auto& entry) { return entry.second == file.second; });
        };
        const bool written = withoutStaged(left) == bench.done();
        CHECK((status == 0 ? written : status == 2));
        CHECK((written || std::ranges::all_of(bench.before(), isLeft)));
    });
}

TEST_CASE("faults: what a killed run had moved aside is lost by no fault of the next", "[faults]") {
    bool came = true;
    for (long call = 0; came; ++call) {
        INFO("call " << call);
        const test::Scratch folder;
        const std::string old = folder / ".out.regauge-999999999-old";  // of no process that there is
        fs::create_directory(old);
        std::ofstream(old + "/weights") << "all there is";
        {
            NativeFiles next;
            const FailingSystem system(Fault::error, call);
            test::refusalOf([&] { next.create(folder / "out", true, true); });
            came = system.left() < 0;
        }
        CHECK(fs::exists(folder / "out/weights") != fs::exists(old + "/weights"));
    }
    CHECK(!came);
}

TEST_CASE("faults: an interrupted or partial read or write is taken up again", "[faults]") {
    for (const Fault fault : {Fault::interrupted, Fault::partly})
        for (const FaultJob& job : faultJobs()) {
            const Bench bench(job);
            for (const long call : tried(bench.callsOf(fault), 4)) {
                INFO(job.name << ", transfer " << call);
                CHECK(bench.runWith(fault, call, true) == 0);
                CHECK(bench.now() == bench.done());
            }
        }
}

TEST_CASE("faults: a job that is killed at any system call leaves the old or the new, and the next one cleans up",
          "[faults]") {
    forSystemCalls(8, [](const FaultJob& job, const Bench& bench, long call, bool exchanges) {
        CHECK(inChild([&] { return bench.runWith(Fault::death, call, exchanges); }) == test::died);
        const Tree left = withoutStaged(bench.now());
        // Without an exchange there is a moment when the old is aside; whoever comes next puts it back.
        if (exchanges || !job.replaces) CHECK((left == bench.before() || left == bench.done()));
        NativeFiles next;
        test::refusalOf([&] {  // it is there
            next.create(bench / "out", job.name.starts_with("folder") || job.name == "merge", job.replaces);
        });
        CHECK((bench.now() == bench.before() || bench.now() == bench.done()));
    });
}

TEST_CASE("faults: files reach the disk before they take their place, and the name does before the command ends",
          "[faults]") {
    for (const FaultJob& job : faultJobs()) {
        const Bench bench(job);
        std::string deeds;
        REQUIRE(bench.runWith(Fault::error, LONG_MAX, true, &deeds) == 0);
        INFO(job.name << ": " << deeds);
        const std::size_t place = deeds.find("rename ");
        CHECK(deeds.rfind("write ") < deeds.rfind("sync ", place));
        CHECK(deeds.substr(place) == "rename sync-folder ");
    }
}
#endif

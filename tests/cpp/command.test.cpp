#include "regauge/command.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "command_run.hpp"
#include "native_files.hpp"
#include "regauge/isa.hpp"
#include "scratch.hpp"

using namespace regauge;
using Catch::Matchers::ContainsSubstring;
using test::Ran;
using test::Scratch;
namespace fs = std::filesystem;

namespace {

const std::string sample = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/";
const std::string shipped = std::string(REGAUGE_TEST_DATA) + "/../examples/tales-d64/";

Ran run(const std::vector<std::string>& args) {
    NativeFiles files;
    return test::run(files, args);
}

std::string bytesOf(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// The planted truth of a sample as a gauge file.
std::string plantedTruth(const Scratch& scratch, const std::string& model, const std::string& folder = sample) {
    const auto truth = nlohmann::json::parse(bytesOf(folder + "truth.json"))["gauges"][model];
    const nlohmann::json gauge{{"format", "regauge-gauge"}, {"version", 1},          {"d", truth["perm"].size()},
                               {"group", "signed"},         {"perm", truth["perm"]}, {"sign", truth["sign"]}};
    write(scratch / (model + "-truth.json"), gauge.dump());
    return scratch / (model + "-truth.json");
}

}  // namespace

TEST_CASE("a word that begins with a slash is a path, on Windows too") {
    const Ran ran = run({"show", "/nowhere/gauge.json"});
    CHECK(ran.status == 2);
    CHECK_THAT(ran.err, ContainsSubstring("/nowhere/gauge.json"));
}

TEST_CASE("aligning the sample recovers every planted channel and sign, for both targets") {
    const Scratch scratch;
    for (const std::string target : {"target", "other_run"}) {
        const Ran aligned =
            run({"align", sample + "source/evidence.safetensors", sample + target + "/evidence.safetensors", "-o",
                 scratch / (target + ".json"), "--json"});
        CHECK(aligned.status == 0);
        CHECK(aligned.json()["verdict"] == "aligned");
        CHECK(aligned.json()["d"] == 128);
        const Ran compared = run({"compare", scratch / (target + ".json"), plantedTruth(scratch, target), "--json"});
        CHECK(compared.status == 0);
        CHECK(compared.json()["permutation"] == 1.0);
        CHECK(compared.json()["sign"] == 1.0);
        CHECK(compared.json()["both"] == 1.0);
    }
}

TEST_CASE("every instruction set and every number of threads gives one fingerprint") {
    std::vector<std::string> fingerprints;
    for (const std::string_view isa : instructionSets()) {
        forceInstructionSet(isa);
        for (const std::string threads : {"1", "2"})
            fingerprints.push_back(run({"align", sample + "source/evidence.safetensors",
                                        sample + "other_run/evidence.safetensors", "--threads", threads, "--json"})
                                       .json()["fingerprint"]);
    }
    forceInstructionSet("");
    CHECK(fingerprints.size() >= 2);
    CHECK(std::ranges::count(fingerprints, fingerprints.front()) == std::ssize(fingerprints));
}

TEST_CASE("the permutation-only baseline recovers the fraction of positive signs, as the theory says") {
    const Scratch scratch;
    for (const auto& [target, positive] : {std::pair<std::string, double>{"target", 0.414}, {"other_run", 0.555}}) {
        run({"align", sample + "source/evidence.safetensors", sample + target + "/evidence.safetensors", "--group",
             "permutation", "-o", scratch / (target + ".json"), "--quiet"});
        const Ran compared = run({"compare", scratch / (target + ".json"), plantedTruth(scratch, target), "--json"});
        CHECK(compared.status == 1);
        const double permutation = compared.json()["permutation"];
        CHECK(permutation >= positive - 0.02);
        CHECK(permutation <= positive + 0.02);
    }
}

TEST_CASE("the shipped sample is aligned as its README says, with signs and without") {
    const Scratch scratch;
    for (const auto& [side, positive] : {std::pair<std::string, double>{"target", 0.406}, {"other_run", 0.438}}) {
        const auto agreement = [&, target = side](const std::string& group) {
            run({"align", shipped + "source/evidence.safetensors", shipped + target + "/evidence.safetensors",
                 "--group", group, "-o", scratch / "gauge.json", "--quiet", "--force"});
            return run({"compare", scratch / "gauge.json", plantedTruth(scratch, target, shipped), "--json"}).json();
        };
        CHECK(agreement("signed")["both"] == 1.0);
        const double permutation = agreement("permutation")["permutation"];
        CHECK(permutation <= positive + 0.001);
        CHECK(permutation >= positive - 0.02);
    }
}

TEST_CASE("a vector of one run makes another refuse, once it is moved with its signs; bytes are shown as text") {
    const Scratch scratch;
    CHECK(run({"align", shipped + "source/evidence.safetensors", shipped + "other_run/evidence.safetensors", "-o",
               scratch / "gauge.json", "--quiet"})
              .status == 0);
    const std::vector<std::string> command{"steer",
                                           shipped + "source",
                                           shipped + "other_run",
                                           "--vector",
                                           shipped + "source/refusal_resid2.npy",
                                           "--site",
                                           "resid.2",
                                           "--strength",
                                           "0.9",
                                           "--gauge",
                                           scratch / "gauge.json",
                                           "--tokens",
                                           shipped + "source/requests.json",
                                           "--length",
                                           "24"};
    const auto with = [&](const std::string& flag) {
        std::vector<std::string> args = command;
        args.push_back(flag);
        return run(args);
    };
    // Effects and answers as transformers gives them: LlamaForCausalLM, 0.9 times the vector added to what the last
    // layer puts out, greedily.
    const std::map<std::string, std::pair<double, std::string>> expected{
        {"source", {0, "Sure, ask a friend for a"}},
        {"source-steered", {4.2326, "I cannot help with that."}},
        {"target", {0, "Sure, go to the shop fir"}},
        {"target-moved", {4.3041, "I cannot help with that."}},
        {"target-permuted", {2.2841, "Sure, take sot th for a "}},
        {"target-not-moved", {1.6525, "Sure, look at it for a w"}}};
    const Ran shown = with("--bytes");
    CHECK(shown.status == 0);
    const nlohmann::json measured = with("--json").json();
    CHECK(measured["arms"].size() == expected.size());
    for (const auto& arm : measured["arms"]) {
        const auto& [effect, answer] = expected.at(arm["name"]);
        CHECK_THAT(arm["effect"].get<double>(), Catch::Matchers::WithinAbs(effect, 1e-3));
        CHECK_THAT(shown.out, ContainsSubstring("\"" + answer + "\""));
    }
}

TEST_CASE("an object moved there and back is the same to the byte") {
    const Scratch scratch;
    const std::string gauge = plantedTruth(scratch, "target"), back = scratch / "back.json";
    CHECK(run({"invert", gauge, "-o", back}).status == 0);
    for (const std::string object : {"steering_resid2.npy", "evidence.safetensors"}) {
        CHECK(run({"transport", sample + "source/" + object, "--gauge", gauge, "-o", scratch / ("moved-" + object)})
                  .status == 0);
        CHECK(run({"transport", scratch / ("moved-" + object), "--gauge", back, "-o", scratch / object}).status == 0);
        CHECK(bytesOf(scratch / object) == bytesOf(sample + "source/" + object));
        CHECK(bytesOf(scratch / ("moved-" + object)) != bytesOf(sample + "source/" + object));
    }
    CHECK(run({"transport", sample + "source/sae_resid2", "--gauge", gauge, "-o", scratch / "sae-moved"}).status == 0);
    CHECK(run({"transport", scratch / "sae-moved", "--gauge", back, "-o", scratch / "sae"}).status == 0);
    for (const std::string member : {"cfg.json", "sae_weights.safetensors"})
        CHECK(bytesOf(scratch / ("sae/" + member)) == bytesOf(sample + "source/sae_resid2/" + member));
}

TEST_CASE("composing a gauge with its inverse gives the identity") {
    const Scratch scratch;
    const std::string gauge = plantedTruth(scratch, "target");
    CHECK(run({"invert", gauge, "-o", scratch / "back.json", "--quiet"}).status == 0);
    CHECK(run({"compose", gauge, scratch / "back.json", "-o", scratch / "none.json", "--quiet"}).status == 0);
    const Ran shown = run({"show", scratch / "none.json", "--json"});
    CHECK(shown.status == 0);
    CHECK(shown.json()["identity"] == true);
}

TEST_CASE("bad input is refused with one line and exit status 2, and leaves nothing behind") {
    const Scratch scratch;
    const std::string source = sample + "source/evidence.safetensors", target = sample + "target/evidence.safetensors",
                      gauge = plantedTruth(scratch, "target");
    write(scratch / "cut.safetensors", bytesOf(source).substr(0, 100));
    write(scratch / "short.safetensors", bytesOf(source).substr(0, 200000));
    write(scratch / "taken.json", "taken");
    write(scratch / "bad.json",
          R"({"format":"regauge-gauge","version":1,"d":2,"group":"signed","perm":[0,0],"sign":[1,1]})");
    write(scratch / "narrow.json",
          R"({"format":"regauge-gauge","version":1,"d":2,"group":"signed","perm":[0,1],"sign":[1,1]})");
    const std::size_t before = scratch.entries();
    const std::string out = scratch / "out";
    struct Case {
        std::vector<std::string> args;
        std::string says;
    };
    const std::vector<Case> cases{
        {{"frobnicate"}, "there is no command 'frobnicate'; there are inspect, align,"},
        {{"frobnicate", "--help"}, "there is no command 'frobnicate'"},
        {{"--frobnicate"}, "--help"},
        {{"align", source, target, "-o", "-"}, "standard output"},
        {{"completion", "tcsh"}, "bash"},
        {{"align", source}, "--help"},
        {{"align", source, target, "--group", "rotation"}, "--group"},
        {{"align", source, scratch / "missing.safetensors", "-o", out}, "missing.safetensors"},
        {{"align", source, scratch / "cut.safetensors", "-o", out}, "cut.safetensors"},
        {{"align", source, scratch / "short.safetensors", "-o", out}, "short.safetensors"},
        {{"align", source, target, "--site", "resid.9", "-o", out}, "resid.9"},
        {{"align", source, target, "-o", scratch / "taken.json"}, "--force"},
        {{"align", source, target, "-o", scratch / "no/such/folder.json"}, "folder"},
        {{"show", scratch / "cut.safetensors"}, "gauge"},
        {{"show", scratch / "bad.json"}, "twice"},
        {{"compare", gauge, scratch / "narrow.json"}, "128"},
        {{"transport", sample + "source/steering_resid2.npy", "--gauge", scratch / "narrow.json", "-o", out}, "128"},
        {{"transport", sample + "source/steering_resid2.npy", "--gauge", gauge}, "-o"},
        {{"transport", scratch / "missing.npy", "--gauge", gauge, "-o", out}, "missing.npy"},
    };
    for (const Case& entry : cases) {
        INFO((entry.args.empty() ? "no arguments" : entry.args[0] + " ... " + entry.args.back()));
        const Ran ran = run(entry.args);
        CHECK(ran.status == 2);
        CHECK(ran.out.empty());
        CHECK_THAT(ran.err, ContainsSubstring(entry.says));
        CHECK(std::ranges::count(ran.err, '\n') == 1);
        CHECK(scratch.entries() == before);
    }
    CHECK(bytesOf(scratch / "taken.json") == "taken");
}

TEST_CASE("every subcommand has help with an example") {
    for (const std::string command : {"inspect", "align", "show", "compose", "invert", "compare", "transport", "verify",
                                      "activations", "merge", "audit"}) {
        const Ran ran = run({command, "--help"});
        CHECK(ran.status == 0);
        CHECK_THAT(ran.out, ContainsSubstring("Example:\n  regauge " + command));
        CHECK_THAT(ran.out, ContainsSubstring("--json"));
        CHECK_THAT(ran.out, ContainsSubstring("--quiet"));
        CHECK(ran.err.empty());
    }
    CHECK(run({"--help"}).status == 0);
    CHECK_THAT(run({"--version"}).out, ContainsSubstring("regauge "));
}

TEST_CASE("inspect knows a gauge file from an object") {
    const Scratch scratch;
    const Ran ran = run({"inspect", plantedTruth(scratch, "other_run")});
    CHECK(ran.status == 0);
    CHECK_THAT(ran.out, ContainsSubstring("gauge file"));
    CHECK_THAT(ran.out, ContainsSubstring("fingerprint"));
    CHECK_THAT(run({"inspect", plantedTruth(scratch, "other_run"), "--json"}).out, ContainsSubstring("\"d\":128"));
}

TEST_CASE("the command alone shows three examples, and refuses") {
    const Ran ran = run({});
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK_THAT(ran.err, ContainsSubstring("  regauge inspect "));
    CHECK_THAT(ran.err, ContainsSubstring("  regauge align "));
    CHECK_THAT(ran.err, ContainsSubstring("  regauge transport "));
}

TEST_CASE("every shell's completion knows every command and its options") {
    for (const std::string shell : {"bash", "zsh", "fish"}) {
        const Ran ran = run({"completion", shell});
        CHECK(ran.status == 0);
        CHECK(ran.err.empty());
        for (const std::string word : {"align", "trace", "transport", "merge-stats", "dry-run", "skip-first"})
            CHECK_THAT(ran.out, ContainsSubstring(word));
    }
}

TEST_CASE("a face that listens is told of refusals and progress instead of the terminal") {
    NativeFiles files;
    std::string err;
    std::optional<Error> refused;
    std::size_t reports = 0;
    Host host{.files = files,
              .out = [](std::string_view) {},
              .err = [&](std::string_view text) { err += text; },
              .progress =
                  [&](std::string_view, std::uint64_t, std::uint64_t) {
                      ++reports;
                      return false;
                  },
              .refused = [&](const Error& error) { refused = error; }};
    CHECK(runCommand({"show", "missing.json"}, host) == 2);
    REQUIRE(refused);
    CHECK(refused->code() == ErrorCode::missingFile);
    CHECK(refused->where() == "missing.json");
    const std::string source = sample + "source/evidence.safetensors";
    CHECK(runCommand({"align", source, source}, host) == 130);
    CHECK(refused->code() == ErrorCode::cancelled);
    CHECK(reports == 1);
    CHECK(err.empty());
}

TEST_CASE("cancelling stops the work and leaves nothing behind") {
    const Scratch scratch;
    NativeFiles files;
    std::string err;
    Host host{.files = files,
              .out = [](std::string_view) {},
              .err = [&](std::string_view text) { err += text; },
              .cancelled = [] { return true; }};
    const int status = runCommand({"align", sample + "source/evidence.safetensors",
                                   sample + "target/evidence.safetensors", "-o", scratch / "g.json"},
                                  host);
    CHECK(status == 130);
    CHECK_THAT(err, ContainsSubstring("cancelled"));
    CHECK(scratch.entries() == 0);
}

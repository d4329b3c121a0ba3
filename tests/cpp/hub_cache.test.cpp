// "org/name" is what a download left in the hub's cache, where nothing is at that path.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "command_run.hpp"
#include "machine.hpp"
#include "native_files.hpp"
#include "regauge/transport.hpp"
#include "scratch.hpp"
#include "tensor_files.hpp"

using namespace regauge;
using namespace regauge::test;
namespace fs = std::filesystem;

namespace {

// A model of the cache as huggingface_hub lays it out: refs/main names a snapshot, whose files are links to blobs.
void download(const fs::path& cache) {
    const fs::path model = cache / "models--someone--tiny";
    for (const char* folder : {"refs", "blobs", "snapshots/abc"}) fs::create_directories(model / folder);
    std::ofstream(model / "refs/main") << "abc";
    std::ofstream(model / "blobs/1") << R"({"model_type": "llama", "hidden_size": 8})";
    if (!makeLink("../../blobs/1", model / "snapshots/abc/config.json"))  // then huggingface_hub copies
        fs::copy_file(model / "blobs/1", model / "snapshots/abc/config.json");
}

}  // namespace

TEST_CASE("hub cache: org/name is found where huggingface_hub keeps it, and only where nothing has that path") {
    const test::Scratch scratch;
    const fs::path& root = scratch.path();
    download(root / "first");
    download(root / "home/hub");
    NativeFiles files;
    setVariable("HF_HUB_CACHE", {});
    setVariable("HUGGINGFACE_HUB_CACHE", {});
    setVariable("HF_HOME", (root / "nowhere").string());
    CHECK_FALSE(files.exists("someone/tiny"));
    setVariable("HF_HOME", (root / "home").string());
    CHECK(files.isFolder("someone/tiny"));
    setVariable("HF_HOME", (root / "nowhere").string());
    setVariable("HF_HUB_CACHE", (root / "first").string());
    CHECK(files.isFolder("someone/tiny"));
    CHECK(files.list("someone/tiny/snapshots/abc") == std::vector<std::string>{"config.json"});
    CHECK(files.open("someone/tiny/snapshots/abc/config.json")->size() == 41);
    CHECK_FALSE(files.exists("someone/other"));
    CHECK_FALSE(files.exists("../tiny"));
    // A folder of that name is what the user means.
    const fs::path before = fs::current_path();
    fs::create_directories(root / "here/someone/tiny");
    fs::current_path(root / "here");
    CHECK(files.list("someone/tiny").empty());
    fs::current_path(before);
    // Nobody's cache is looked for where the environment names no home.
    fs::create_directories(root / "homeless");
    download(root / "homeless/.cache/huggingface/hub");
    const std::string home = std::getenv(homeVariable) == nullptr ? "" : std::getenv(homeVariable);
    for (const char* name : {"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", homeVariable}) setVariable(name, {});
    fs::current_path(root / "homeless");
    CHECK_FALSE(files.exists("someone/tiny"));
    setVariable(homeVariable, (root / "homeless").string());
    CHECK(files.isFolder("someone/tiny"));
    fs::current_path(before);
    if (!home.empty()) setVariable(homeVariable, home);
    setVariable("HF_HUB_CACHE", {});
    setVariable("HF_HOME", {});
}

TEST_CASE("hub cache: an output may have the name of a model in the cache, where nothing has that path") {
    const test::Scratch scratch;
    const fs::path &root = scratch.path(), before = fs::current_path();
    download(root / "hub");
    fs::create_directories(root / "someone");
    std::ofstream(root / "g") << R"({"format":"regauge-gauge","version":1,"d":2,"group":"signed","perm":[1,0],)"
                              << R"("sign":[1,-1]})";
    setVariable("HF_HUB_CACHE", (root / "hub").string());
    fs::current_path(root);
    const auto invert = [] {
        NativeFiles files;
        return run(files, {"invert", "g", "-o", "someone/tiny"});
    };
    CHECK(invert().status == 0);
    CHECK(fs::is_regular_file("someone/tiny"));
    const Ran again = invert();
    CHECK(again.status == 2);
    CHECK(again.err.find("exists already") != std::string::npos);
    fs::current_path(before);
    setVariable("HF_HUB_CACHE", {});
}

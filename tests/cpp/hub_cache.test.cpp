// "org/name" is what a download left in the hub's cache, where nothing is at that path.
#include <stdlib.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "native_files.hpp"
#include "regauge/transport.hpp"
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
    fs::create_symlink("../../blobs/1", model / "snapshots/abc/config.json");
}

}  // namespace

TEST_CASE("hub cache: org/name is found where huggingface_hub keeps it, and only where nothing has that path") {
    const fs::path root = fs::temp_directory_path() / "regauge-hub-cache-test";
    fs::remove_all(root);
    download(root / "first");
    download(root / "home/hub");
    NativeFiles files;
    ::unsetenv("HF_HUB_CACHE");
    ::unsetenv("HUGGINGFACE_HUB_CACHE");
    ::setenv("HF_HOME", (root / "nowhere").c_str(), 1);
    CHECK_FALSE(files.exists("someone/tiny"));
    ::setenv("HF_HOME", (root / "home").c_str(), 1);
    CHECK(files.isFolder("someone/tiny"));
    ::setenv("HF_HOME", (root / "nowhere").c_str(), 1);
    ::setenv("HF_HUB_CACHE", (root / "first").c_str(), 1);
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
    ::unsetenv("HF_HUB_CACHE");
    ::unsetenv("HF_HOME");
    fs::remove_all(root);
}

// The fuzzers' seeds, and every input that one of them once found something with, read and used as the fuzzers do.
#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "../fuzz/seeds.hpp"
#include "../fuzz/targets.hpp"

using namespace regauge;
namespace fs = std::filesystem;

TEST_CASE("fuzz: every target takes its seeds", "[fuzz]") {
    for (const fuzz::Seed& seed : fuzz::fuzzSeeds()) {
        INFO(seed.target << " " << seed.name);
        CHECK(fuzz::run(seed.target, seed.text));
    }
}

TEST_CASE("fuzz: what was found once is found no more", "[fuzz]") {
    const fs::path found = std::string(REGAUGE_TEST_DATA) + "/fuzz/found";
    for (const auto& target : fs::directory_iterator(found))
        for (const auto& input : fs::directory_iterator(target)) {
            INFO(input.path().string());
            std::ifstream file(input.path(), std::ios::binary);
            const std::string text{std::istreambuf_iterator<char>(file), {}};
            CHECK_NOTHROW(fuzz::run(target.path().filename().string(), text));
        }
}

// Writes what every fuzzer begins with:   fuzz_seeds FOLDER   makes FOLDER/<target>/<seed>.
#include <catch2/catch_session.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "seeds.hpp"

namespace fs = std::filesystem;

namespace {
fs::path folder;
}

TEST_CASE("write the seeds") {  // a test, since fixtures that are not there fail as in one
    for (const regauge::fuzz::Seed& seed : regauge::fuzz::fuzzSeeds()) {
        std::string name = seed.name;
        for (char& c : name)
            if (c == '/') c = '-';
        fs::create_directories(folder / seed.target);
        std::ofstream file(folder / seed.target / name, std::ios::binary);
        file << seed.text;
        REQUIRE(file.flush());
    }
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("fuzz_seeds FOLDER: writes FOLDER/<target>/<seed>\n", stderr);
        return 2;
    }
    folder = argv[1];
    return Catch::Session().run();
}

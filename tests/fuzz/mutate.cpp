// Mutated files of every format, read, rewritten and moved:   regauge_fuzz [mutations per seed, 10000 [only seeds whose
// name contains this]] Meant for the asan preset (cmake/Tests.cmake). Prints how many were still readable, movable and
// evidence. Anything but success or an Error ends the program, with the mutation in mutate.crash.
#include <catch2/catch_session.hpp>
#include <cstdio>
#include <cstdlib>

#include "mutations.hpp"

using namespace regauge::test;

namespace {
int mutations = 10000;
std::string only;
}  // namespace

TEST_CASE("mutate") {
    for (const Seed& seed : mutationSeeds()) {
        if (seed.name.find(only) == std::string::npos) continue;
        std::mt19937 random(2606);
        int readable = 0, movable = 0, evidence = 0;
        for (int i = 0; i < mutations; ++i) {
            const std::string text = mutate(seed.text, random);
            try {
                readable += survives(text) ? 1 : 0;
                readsAsFloats(text);
                movable += movesOrIsRefused(text) ? 1 : 0;
                evidence += readsAsEvidence(text) ? 1 : 0;
            } catch (...) {
                std::ofstream("mutate.crash", std::ios::binary) << text;
                throw;
            }
        }
        std::printf("%-28s %d mutations, %d readable, %d movable, %d evidence\n", seed.name.c_str(), mutations,
                    readable, movable, evidence);
        std::fflush(stdout);
    }
}

int main(int argc, char** argv) {
    if (argc > 1) mutations = std::atoi(argv[1]);
    if (argc > 2) only = argv[2];
    return Catch::Session().run();
}

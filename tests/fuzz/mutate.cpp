// 10,000 mutated files per format (or argv[1]), with AddressSanitizer and UBSan in the asan preset. Prints how many were still readable.
// Anything but reading or an Error ends the program, with the mutation in mutate.crash.
#include <catch2/catch_session.hpp>
#include <cstdio>
#include <cstdlib>

#include "mutations.hpp"

using namespace regauge::test;

namespace {
int mutations = 10000;
}

TEST_CASE("mutate") {
    for (const Seed& seed : mutationSeeds()) {
        std::mt19937 random(2606);
        int readable = 0;
        for (int i = 0; i < mutations; ++i) {
            const std::string text = mutate(seed.text, random);
            try {
                readable += survives(text) ? 1 : 0;
            } catch (...) {
                std::ofstream("mutate.crash", std::ios::binary) << text;
                throw;
            }
        }
        std::printf("%-28s %d mutations, %d readable\n", seed.name.c_str(), mutations, readable);
        std::fflush(stdout);
    }
}

int main(int argc, char** argv) {
    if (argc > 1) mutations = std::atoi(argv[1]);
    return Catch::Session().run();
}

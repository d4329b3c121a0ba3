// Damaged and hostile files of every format: refused with an Error, or read. tests/fuzz/mutate.cpp does the same ten
// thousand times over.
#include "mutations.hpp"

using namespace regauge::test;

TEST_CASE("mutations: a few hundred damaged files of every format are refused or read, and nothing else happens") {
    for (const Seed& seed : mutationSeeds()) {
        INFO(seed.name);
        CHECK(movesOrIsRefused(seed.text) ==
              (seed.name != "vector.json" && seed.name != "optimizer.pt" &&  // another width; its model is not there
               !seed.name.ends_with(".arrow")));                             // read and never written
        CHECK_NOTHROW(readsAsFloats(seed.text));
        CHECK_NOTHROW(readsAsEvidence(seed.text));
        std::mt19937 random(11);
        for (int i = 0; i < 300; ++i) {
            CAPTURE(i);
            const std::string text = mutate(seed.text, random);
            CHECK_NOTHROW(survives(text));
            CHECK_NOTHROW(readsAsFloats(text));
            CHECK_NOTHROW(readsAsEvidence(text));
            CHECK_NOTHROW(movesOrIsRefused(text));
        }
    }
}

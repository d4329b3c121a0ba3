// Evidence in which sites are sure and contradict each other: head space beside residual coordinates.
#include "../../command/src/site_groups.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "regauge/evidence.hpp"
#include "regauge/match.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t d = 16;

// Two sites that move by one gauge and two that move by another, the same rows on both sides.
Alignment aligned(const std::vector<std::string>& sites, const Gauge& residual, const Gauge& heads) {
    MemoryFiles files;
    std::vector<Array> source, target;
    std::uint32_t seed = 1;
    for (const std::string name : {"resid.0", "resid.1", "head.0", "head.1"}) {
        source.push_back(randomArray("activations/" + name, {500, d}, seed++));
        target.push_back(movedAxis(source.back(), name.starts_with("head") ? heads : residual, 1));
    }
    files.put("s.safetensors", safetensors(source));
    files.put("t.safetensors", safetensors(target));
    MatchOptions options;
    options.sites = sites;
    return match(openEvidence(files, "s.safetensors", sites), openEvidence(files, "t.safetensors", sites), options);
}

}  // namespace

TEST_CASE("sites that are sure and contradict each other are told apart, and the advice leads to a gauge") {
    const Gauge residual = randomGauge(d, 1), heads = randomGauge(d, 2);
    const Alignment both = aligned({}, residual, heads);
    REQUIRE(contradictingSites(both) ==
            std::vector<std::vector<std::string>>{{"resid.0", "resid.1"}, {"head.0", "head.1"}});
    CHECK_THAT(contradictionText(both), ContainsSubstring("--site head.0 --site head.1\n") &&
                                            ContainsSubstring("--site resid.0 --site resid.1\n"));
    const Alignment one = aligned({"resid.0", "resid.1"}, residual, heads);
    CHECK(one.gauge == residual);
    CHECK(contradictingSites(one).empty());
    CHECK(contradictionText(aligned({}, residual, residual)).empty());
}

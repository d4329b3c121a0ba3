// What the command says of a gauge with a hidden part in JSON, and what it makes of such gauges.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "command_run.hpp"
#include "memory_files.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/io/gauge_json.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const HiddenShape shape{2, 6, 4, 2, 4, 2};

// Neurons turned by one place, the first of them with a negative sign; groups and heads in each other's places.
HiddenGauge turned(bool judged) {
    std::vector<HiddenLayer> layers = HiddenGauge::identity(shape).layers();
    for (HiddenLayer& layer : layers) {
        layer.neurons = {1, 2, 3, 4, 5, 0};
        layer.neuronSign[0] = -1;
        layer.kvHeads = {1, 0};
        layer.heads = {3, 2, 0, 1};
        if (judged)
            layer.neuronScores.confidence = {0.1, 0.5, 0.9, 1, 1, 0.2}, layer.headScores.confidence = {1, 1, 1, 0};
    }
    return HiddenGauge(shape, std::move(layers));
}

GaugeFile withBoth(bool judged = false) {
    Alignment residual;
    residual.gauge = randomGauge(8, 3);
    return {residual, turned(judged)};
}

void put(MemoryFiles& files, const std::string& path, const GaugeFile& gauge) { files.put(path, toJson(gauge)); }

}  // namespace

TEST_CASE("show, inspect, compose and invert say in JSON what the hidden part is", "[hidden][command]") {
    MemoryFiles files;
    put(files, "g.json", withBoth(true));
    const auto expected =
        nlohmann::json::parse(R"({"layers":2,"neurons":6,"heads":4,"kv_heads":2,"head_dim":4,"rope_pairs":2})");
    for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
             {"show", "g.json"}, {"inspect", "g.json"}, {"invert", "g.json", "-o", "back.json"}}) {
        std::vector<std::string> words = args;
        words.push_back("--json");
        const nlohmann::json hidden = run(files, words).json().at("hidden");
        CHECK(hidden.at("shape") == expected);
        CHECK_FALSE(hidden.at("identity").get<bool>());
        CHECK(hidden.at("neurons_sure").get<double>() == 4.0 / 6);
        CHECK(hidden.at("heads_sure").get<double>() == 3.0 / 4);
        CHECK(hidden.at("fingerprint") == (args[0] == "invert" ? turned(true).inverse() : turned(true)).fingerprint());
    }
    const nlohmann::json there = run(files, {"compose", "g.json", "back.json", "-o", "id.json", "--json"}).json();
    CHECK(there.at("identity").get<bool>());
    CHECK(there.at("hidden").at("identity").get<bool>());
}

TEST_CASE("nobody judged the units of a gauge made by hand, and a gauge without a hidden part says nothing of it",
          "[hidden][command]") {
    MemoryFiles files;
    put(files, "g.json", withBoth());
    CHECK(run(files, {"show", "g.json", "--json"}).json().at("hidden").at("neurons_sure").is_null());
    put(files, "residual.json", {withBoth().residual, std::nullopt});
    CHECK_FALSE(run(files, {"show", "residual.json", "--json"}).json().contains("hidden"));
    const Ran mixed = run(files, {"compose", "g.json", "residual.json", "-o", "never.json"});
    CHECK(mixed.status == 2);
    CHECK_THAT(mixed.err, ContainsSubstring("residual.json") && ContainsSubstring("has no hidden part"));
    CHECK_FALSE(files.exists("never.json"));
}

TEST_CASE("a gauge file with both parts is read, inverted and written as its text", "[hidden]") {
    const GaugeFile gauge = withBoth(true);
    const GaugeFile read = parseGaugeFile(toJson(gauge), "g.json");
    CHECK(toJson(read) == toJson(gauge));
    CHECK(toJson(inverse(inverse(read))) == toJson(gauge));
    const GaugeFile identity = then(gauge, inverse(gauge));
    CHECK(identity.residual.gauge.isIdentity());
    CHECK(identity.hidden->isIdentity());
}

TEST_CASE("a site is of no use where the gauge has no hidden part", "[hidden][command]") {
    MemoryFiles files;
    put(files, "residual.json", {withBoth().residual, std::nullopt});
    files.put("v.json", "[1,2,3,4,5,6,7,8]");
    const Ran ran = run(files, {"transport", "v.json", "--gauge", "residual.json", "--site", "blocks.0.mlp.hook_post",
                                "-o", "never.json"});
    CHECK(ran.status == 2);
    CHECK_THAT(ran.err, ContainsSubstring("no hidden part"));
}

#include "regauge/io/gauge_json.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>

#include "io/bytes.hpp"
#include "refusal.hpp"
#include "regauge/error.hpp"
#include "regauge/gauge_file.hpp"

using namespace regauge;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string outcome(const std::string& text) {
    return test::outcomeOf([&] { parseGauge(text, "g.json"); });
}

const std::string handWritten =
    R"({"format":"regauge-gauge","version":1,"d":3,"group":"signed","perm":[2,0,1],"sign":[1,-1,1]})";

std::string with(const std::string& from, const std::string& to) {
    std::string text = handWritten;
    return text.replace(text.find(from), from.size(), to);
}

}  // namespace

TEST_CASE("a hand-written gauge with only the required keys is accepted") {
    const Alignment alignment = parseGauge(handWritten, "g.json");
    CHECK(alignment.gauge == Gauge({2, 0, 1}, {1, -1, 1}));
    CHECK(alignment.group == Group::signedPermutation);
    CHECK(alignment.verdict == Verdict::aligned);
}

TEST_CASE("a gauge file is known wherever in it stands that it is one") {
    const auto isGauge = [](const std::string& text) { return isGaugeFile(MemorySource("g", asBytes(text))); };
    const std::string far = R"({"notes":")" + std::string(10'000, '.') + R"(",)" + handWritten.substr(1);
    for (const std::string& text : {handWritten, "\xEF\xBB\xBF" + handWritten, " \r\n\t" + handWritten, far}) {
        INFO(text.substr(0, 20));
        CHECK(parseGauge(text, "g").gauge.d() == 3);
        CHECK(isGauge(text));
    }
    for (const std::string& text : {std::string(), std::string(5000, ' '), "[" + handWritten + "]", std::string("{}")})
        CHECK_FALSE(isGauge(text));
}

TEST_CASE("a written gauge reads back, and writes the same bytes again") {
    Alignment alignment = parseGauge(handWritten, "g.json");
    alignment.score = {0.5, 0.25, 1};
    alignment.margin = {0.125, 0, 0.5};
    alignment.confidence = {1, 0.5, 0.75};
    alignment.verdict = Verdict::partial;
    alignment.estimate = 0.75;
    alignment.source = {"a/evidence.safetensors", "00ff"};
    alignment.target = {"b", ""};
    alignment.statistic = "whitened";
    alignment.rows = 1024;
    alignment.sites.push_back({"resid.2", "whitened", 1024, 3, 0.5, 0.75, 0.8, 1, Gauge::identity(0)});
    const std::string text = toJson(alignment);
    const Alignment again = parseGauge(text, "g.json");
    CHECK(again.gauge == alignment.gauge);
    CHECK(again.score == alignment.score);
    CHECK(again.verdict == Verdict::partial);
    CHECK(again.sites.size() == 1);
    CHECK(toJson(again) == text);
    CHECK_THAT(text, ContainsSubstring("\"fingerprint\":\"" + alignment.gauge.fingerprint() + "\""));
}

TEST_CASE("what is not a gauge file is refused with what to do") {
    CHECK_THAT(outcome("not json"), ContainsSubstring("malformed"));
    CHECK_THAT(outcome(""), ContainsSubstring("malformed"));
    CHECK_THAT(outcome("[1,2]"), ContainsSubstring("not a gauge file"));
    CHECK_THAT(outcome(with("regauge-gauge", "other")), ContainsSubstring("not a gauge file"));
    CHECK_THAT(outcome(with("\"version\":1", "\"version\":2")), ContainsSubstring("unsupported"));
    CHECK_THAT(outcome(with("\"d\":3", "\"d\":4")), ContainsSubstring("d = 4"));
    CHECK_THAT(outcome(with("\"d\":3", "\"d\":-3")), ContainsSubstring("malformed"));
    CHECK_THAT(outcome(with("\"signed\"", "\"rotation\"")), ContainsSubstring("signed, permutation or layernorm"));
    CHECK_THAT(outcome(with("[2,0,1]", "[2,0,0]")), ContainsSubstring("twice"));
    CHECK_THAT(outcome(with("[2,0,1]", "[2,0,3]")), ContainsSubstring("\"perm\"[2] is 3"));
    CHECK_THAT(outcome(with("[2,0,1]", "[2,0,1.5]")), ContainsSubstring("\"perm\"[2] is 1.5"));
    CHECK_THAT(outcome(with("[2,0,1]", "[2,0,18446744073709551615]")), ContainsSubstring("invalidGauge"));
    CHECK_THAT(outcome(with("[1,-1,1]", "[1,-1,2]")), ContainsSubstring("\"sign\"[2] is 2"));
    CHECK_THAT(outcome(with("[1,-1,1]", "[1,-1]")), ContainsSubstring("invalidGauge"));
    CHECK_THAT(outcome(with("\"sign\"", "\"signs\"")), ContainsSubstring("\"sign\""));
    CHECK_THAT(outcome(with("\"d\":3", "\"d\":3,\"fingerprint\":\"00\"")),
               ContainsSubstring("changed after it was written"));
    CHECK_THAT(outcome(with("\"d\":3", "\"d\":3,\"score\":[1,2]")), ContainsSubstring("malformed"));
    CHECK(outcome(handWritten) == "done");
}

TEST_CASE("an inverted and a composed alignment keep each channel's score with its channel") {
    Alignment first = parseGauge(handWritten, "g.json");
    first.score = {0.1, 0.2, 0.3};
    CHECK(std::isnan(then(first, first).estimate));  // made by hand: nobody judged it
    first.estimate = 1;
    const Alignment back = inverse(first);
    for (std::size_t i = 0; i < 3; ++i) CHECK(first.score[i] == back.score[first.gauge.perm()[i]]);
    CHECK(inverse(back).gauge == first.gauge);
    CHECK(inverse(back).score == first.score);
    Alignment weak = first;
    weak.verdict = Verdict::partial;
    weak.estimate = 0.5;
    const Alignment composed = then(first, weak);
    CHECK(composed.gauge == first.gauge.then(weak.gauge));
    CHECK(composed.verdict == Verdict::partial);
    CHECK(composed.estimate == 0.5);
    Alignment sure = first;
    sure.estimate = 0.92;
    CHECK(then(sure, first).verdict == Verdict::aligned);
    CHECK(then(sure, sure).verdict == Verdict::partial);  // 85 %
}

TEST_CASE("gauges are composed in the order that their evidence says, each once") {
    const auto between = [](const std::string& source, const std::string& target) {
        GaugeFile gauge{parseGauge(handWritten, "g.json"), std::nullopt};
        gauge.residual.source = {source, source}, gauge.residual.target = {target, target};
        return gauge;
    };
    const GaugeFile ab = between("a", "b"), bc = between("b", "c"), ba = between("b", "a"), xy = between("x", "y");
    const GaugeFile hand = between("", "");
    CHECK(compose(ab, bc).residual.target.name == "c");
    CHECK_NOTHROW(compose(ab, ba));
    CHECK_NOTHROW(compose(ab, xy));  // other evidence of the same models, for all that is known
    CHECK_NOTHROW(compose(hand, hand));
    CHECK_NOTHROW(then(ab, ab));  // the group is closed
    CHECK_THROWS_WITH(compose(bc, ab, "ab.json"),
                      "ab.json: goes from a to b, and what is before it from b to c; give "
                      "gauges in the order in which they are applied, each once");
    CHECK_THROWS_WITH(compose(ab, ab), ContainsSubstring("each once"));
}

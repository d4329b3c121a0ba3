// docs/gauge.schema.json describes what toJson writes and parseGauge reads.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "refusal.hpp"
#include "regauge/error.hpp"
#include "regauge/hidden.hpp"
#include "regauge/io/gauge_json.hpp"

using namespace regauge;
using Json = nlohmann::json;

namespace {

// The words of JSON Schema that the file uses; any other fails the test.
class Schema {
public:
    explicit Schema(Json root) : root_(std::move(root)) {}
    bool fits(const Json& value) const { return fits(value, root_); }

private:
    static bool isOf(const Json& value, const std::string& type) {
        if (type == "object") return value.is_object();
        if (type == "array") return value.is_array();
        if (type == "string") return value.is_string();
        if (type == "boolean") return value.is_boolean();
        if (type == "integer") return value.is_number() && value.get<double>() == std::floor(value.get<double>());
        REQUIRE(type == "number");
        return value.is_number();
    }
    bool fits(const Json& value, const Json& schema) const {
        for (const auto& [word, says] : schema.items()) {
            if (word == "$schema" || word == "title" || word == "description" || word == "$defs") continue;
            if (word == "$ref") {
                if (!fits(value, root_.at(Json::json_pointer(says.get<std::string>().substr(1))))) return false;
            } else if (word == "type") {
                if (!isOf(value, says)) return false;
            } else if (word == "const") {
                if (value != says) return false;
            } else if (word == "enum") {
                if (std::find(says.begin(), says.end(), value) == says.end()) return false;
            } else if (word == "minimum" || word == "maximum") {
                if (value.is_number() && (word == "minimum" ? value < says : value > says)) return false;
            } else if (word == "exclusiveMinimum") {
                if (value.is_number() && value <= says) return false;
            } else if (word == "minItems") {
                if (value.is_array() && value.size() < says) return false;
            } else if (word == "pattern") {
                const std::regex pattern(says.get<std::string>());
                if (value.is_string() && !std::regex_search(value.get<std::string>(), pattern)) return false;
            } else if (word == "required") {
                for (const Json& key : says)
                    if (value.is_object() && !value.contains(key.get<std::string>())) return false;
            } else if (word == "properties") {
                for (const auto& [key, own] : says.items())
                    if (value.is_object() && value.contains(key) && !fits(value.at(key), own)) return false;
            } else if (word == "items") {
                for (const Json& item : value)
                    if (value.is_array() && !fits(item, says)) return false;
            } else {
                INFO(word);
                REQUIRE(word == "uniqueItems");
                if (value.is_array() && std::set<Json>(value.begin(), value.end()).size() != value.size()) return false;
            }
        }
        return true;
    }

    Json root_;
};

Schema schema() {
    return Schema(Json::parse(std::ifstream(std::string(REGAUGE_TEST_DATA) + "/../docs/gauge.schema.json")));
}

bool isRead(const Json& file) {
    return !test::refusalOf([&] {
        parseGauge(file.dump(), "gauge");
        parseHidden(file.dump(), "gauge");
    });
}

// A gauge with everything in it.
Alignment full() {
    Alignment alignment;
    alignment.gauge = Gauge({2, 0, 1}, {1, -1, 0}, "");
    alignment.score = {0.9, 0.8, 0.7};
    alignment.margin = {0.1, 0.2, -0.3};
    alignment.confidence = {1, 0.5, 0};
    alignment.verdict = Verdict::partial;
    alignment.estimate = 0.75;
    alignment.source = {"a", std::string(64, 'a')};
    alignment.target = {"b", std::string(64, 'b')};
    alignment.rows = 12;
    alignment.sites = {{}};
    return alignment;
}

}  // namespace

TEST_CASE("what regauge writes fits the gauge schema, and so does what is written by hand", "[gauge]") {
    const Schema gauges = schema();
    CHECK(gauges.fits(Json::parse(toJson(full()))));
    Alignment stated;
    stated.gauge = Gauge::identity(4);
    stated.estimate = NAN;
    CHECK(gauges.fits(Json::parse(toJson(stated))));
    const Json hand{{"format", "regauge-gauge"}, {"version", 1},   {"d", 2},
                    {"group", "layernorm"},      {"perm", {1, 0}}, {"sign", {-1, -1}}};
    CHECK(gauges.fits(hand));
    CHECK(isRead(hand));
}

// tests/fixtures/gauge_changes.json: a gauge with everything in it, and what becomes of it when one part is changed.
// tests/js/gauge.test.mjs reads the same.
TEST_CASE("what the gauge schema forbids is refused when it is read, and what it allows is read", "[gauge]") {
    const Schema gauges = schema();
    const Json fixture = Json::parse(std::ifstream(std::string(REGAUGE_TEST_DATA) + "/fixtures/gauge_changes.json"));
    const Json& whole = fixture.at("whole");
    REQUIRE(gauges.fits(whole));
    REQUIRE(isRead(whole));
    const auto check = [&](const char* list, bool fits, bool read) {
        for (const Json& change : fixture.at(list)) {
            INFO(list << ": " << change.dump());
            Json changed = whole;
            changed[Json::json_pointer(change.at(0).get<std::string>())] = change.at(1);
            CHECK(gauges.fits(changed) == fits);
            CHECK(isRead(changed) == read);
        }
    };
    check("refused", false, false);
    check("refused_beyond_the_schema", true, false);
    check("accepted", true, true);
    for (const char* key : {"format", "version", "d", "group", "perm", "sign"}) {
        Json without = whole;
        without.erase(key);
        INFO(key);
        CHECK_FALSE(gauges.fits(without));
        CHECK_FALSE(isRead(without));
    }
}

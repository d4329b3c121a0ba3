// Maps of rows that were summed in parts, from statistics files or by a team: the maps of all the rows, byte for byte.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include "base/sha256.hpp"
#include "command_run.hpp"
#include "io/bytes.hpp"
#include "memory_files.hpp"
#include "refusal.hpp"
#include "regauge/map.hpp"
#include "regauge/statistics.hpp"
#include "rows_fixture.hpp"
#include "thread_team.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;
using regauge::testing::Numbers;

namespace {

constexpr std::size_t rows = 1200, sequence = 40, d = 12, wide = 17;
constexpr std::size_t firstCut = 448, secondCut = 704;  // of files of their own

// resid.1 and resid.2 of a source; of "same" (one width) resid.1 by a gauge with noise, and of "wider" by another
// matrix. Every hundredth row of resid.1 is massive.
struct Rows {
    std::vector<float> x1, x2, same, wider;

    Rows() : x1(rows * d), x2(rows * d), same(rows * d), wider(rows * wide, 0.0f) {
        Numbers numbers(5);
        std::vector<float> m(wide * d);
        for (float& value : m) value = numbers.normal();
        for (float& value : x1) value = numbers.normal();
        for (float& value : x2) value = numbers.normal();
        for (std::size_t r = 0; r < rows; r += 100)
            for (std::size_t j = 0; j < d; ++j) x1[r * d + j] *= 1000;
        for (std::size_t r = 0; r < rows; ++r) {
            for (std::size_t i = 0; i < d; ++i)
                same[r * d + i] = (i % 3 == 0 ? -1.0f : 1.0f) * x1[r * d + (i * 5 + 3) % d] + 0.2f * numbers.normal();
            for (std::size_t i = 0; i < wide; ++i) {
                for (std::size_t j = 0; j < d; ++j) wider[r * wide + i] += m[i * d + j] * x1[r * d + j];
                wider[r * wide + i] += 0.2f * numbers.normal();
            }
        }
    }

    // Rows [begin, end) as bundles: source, same, wider, with `suffix`.
    void put(MemoryFiles& files, std::size_t begin, std::size_t end, const std::string& suffix = "") const {
        const auto cut = [&](const std::string& site, const std::vector<float>& values, std::size_t width) {
            const auto at = [&](std::size_t row) { return values.begin() + static_cast<std::ptrdiff_t>(row * width); };
            Shape shape{end - begin, width};
            if ((end - begin) % sequence == 0) shape = {(end - begin) / sequence, sequence, width};
            return Array{"activations/" + site, shape, std::vector<float>(at(begin), at(end))};
        };
        files.put("source" + suffix, safetensors({cut("resid.1", x1, d), cut("resid.2", x2, d)}));
        files.put("same" + suffix, safetensors({cut("resid.1", same, d), cut("resid.2", x2, d)}));
        files.put("wider" + suffix, safetensors({cut("resid.7", wider, wide)}));
    }

    MemoryFiles files() const {
        MemoryFiles result;
        put(result, 0, rows);
        put(result, 0, firstCut, ".0"), put(result, firstCut, secondCut, ".1"), put(result, secondCut, rows, ".2");
        return result;
    }
};

const Rows& someRows() {
    static const Rows all;
    return all;
}

using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

}  // namespace

TEST_CASE("maps of statistics: parts in any order make the file of the whole, and its maps are those of the rows",
          "[map][statistics]") {
    struct Case {
        std::string target, family;
        Words sites;
    };
    for (const Case& one : {Case{"same", "gauge", {"--site", "resid.1=resid.1", "--site", "resid.2=resid.1"}},
                            Case{"wider", "affine", {"--site", "resid.1=resid.7"}}}) {
        INFO(one.target);
        MemoryFiles files = someRows().files();
        const Words asked = Words{"source", one.target} + one.sites + Words{"--skip-first", "2"};
        const Ran mapped = run(files, Words{"map"} + asked + Words{"-o", "of-rows", "--json"});
        REQUIRE(mapped.status == 0);
        for (const char* k : {"1", "2", "3"})
            REQUIRE(run(files, Words{"stats", "--map"} + asked +
                                   Words{"--shard", std::string(k) + "/3", "-o", std::string("part-") + k})
                        .status == 0);
        REQUIRE(run(files, Words{"stats", "--map"} + asked + Words{"-o", "whole"}).status == 0);
        CHECK(run(files, {"merge-stats", "part-2", "part-3", "-o", "half"}).status == 0);
        CHECK(run(files, {"merge-stats", "half", "part-1", "-o", "all"}).status == 0);
        CHECK(files.text("all") == files.text("whole"));
        const Ran of = run(files, {"map", "all", "-o", "of-stats", "--json"});
        CHECK(of.status == 0);
        CHECK(of.out == mapped.out);
        CHECK(files.text("of-stats") == files.text("of-rows"));
        CHECK(of.out.find("\"family\":\"" + one.family + "\"") != std::string::npos);

        const Ran inspected = run(files, {"inspect", "all", "--json"});
        CHECK(inspected.json()["map_width"] == (one.target == "same" ? d : wide));
        CHECK(inspected.json()["sites"][0]["name"] == one.sites[1]);
        CHECK(inspected.json()["sites"][0]["set_aside"].get<int>() > 0);
        CHECK(run(files, {"show", "all", "--json"}).out == inspected.out);
        CHECK_THAT(run(files, {"show", "all"}).out, ContainsSubstring(", for maps"));
    }
}

TEST_CASE("maps of statistics: rows in files of their own, by one scale, give the map of the whole by that scale",
          "[map][statistics]") {
    for (const std::string target : {"same", "wider"}) {
        const std::string site = target == "same" ? "resid.1=resid.1" : "resid.1=resid.7";
        MemoryFiles files = someRows().files();
        const auto sum = [&](const std::string& suffix, const Words& more) {
            return run(files, Words{"stats", "source" + suffix, target + suffix, "--map", "--site", site} + more)
                .status;
        };
        REQUIRE(sum(".0", {"--fit", "-o", "fit"}) == 0);
        REQUIRE(sum("", {"--like", "fit", "-o", "whole"}) == 0);
        for (const auto& [k, row] : {std::pair("0", 0UL), std::pair("1", firstCut), std::pair("2", secondCut)})
            REQUIRE(sum(std::string(".") + k,
                        {"--like", "fit", "--first-row", std::to_string(row), "-o", std::string("own-") + k}) == 0);
        REQUIRE(run(files, {"merge-stats", "own-2", "fit", "own-0", "own-1", "-o", "own"}).status == 0);
        REQUIRE(run(files, {"map", "own", "-o", "of-own"}).status == 0);
        REQUIRE(run(files, {"map", "whole", "-o", "of-whole"}).status == 0);
        const MapSet own = readMaps(files, "of-own"), whole = readMaps(files, "of-whole");
        CHECK(own.fingerprint() == whole.fingerprint());
        CHECK(own.best().rows == whole.best().rows);
        CHECK(own.best().r2 == whole.best().r2);
    }
}

TEST_CASE("maps of statistics: what does not belong together is refused with a sentence, and leaves nothing behind",
          "[map][statistics]") {
    MemoryFiles files = someRows().files();
    const Words pair{"--site", "resid.1=resid.1"};
    REQUIRE(run(files, Words{"stats", "source", "same", "--map", "--shard", "1/2", "-o", "half"} + pair).status == 0);
    REQUIRE(run(files, Words{"stats", "source", "same", "--map", "-o", "whole"} + pair).status == 0);
    REQUIRE(run(files, {"stats", "source", "same", "--site", "resid.1", "--shard", "2/2", "-o", "gauge"}).status == 0);
    REQUIRE(run(files, {"stats", "source", "wider", "--map", "--site", "resid.1=resid.7", "-o", "wide"}).status == 0);
    const auto refused = [&](const Words& args, const std::string& sentence) {
        const std::size_t before = files.contents.size();
        const Ran ran = run(files, args);
        CHECK(ran.status == 2);
        CHECK(ran.out.empty());
        CHECK_THAT(ran.err, ContainsSubstring(sentence));
        CHECK(files.contents.size() == before);
    };
    refused({"map", "half", "-o", "x"}, "rows 576 to 1199 of site 'resid.1=resid.1' are not in it");
    CHECK(run(files, {"map", "half", "--partial", "-o", "partial"}).status == 0);
    refused({"align", "whole", "-o", "x"}, "its sums are for a map to d = 12: regauge map whole -o map.safetensors");
    refused({"map", "gauge", "--partial", "-o", "x"}, "its sums are for a gauge: regauge align gauge -o gauge.json");
    refused({"map", "whole", "same", "-o", "x"}, "holds the sums of both sides; give it alone: regauge map whole");
    refused({"map", "source", "-o", "x"}, "TARGET is missing; only statistics ('regauge stats --map')");
    refused({"map", "whole", "--rows", "5", "-o", "x"}, "settled when these statistics were summed");
    refused({"map", "whole", "--site", "resid.1=resid.2", "-o", "x"}, "no pair of sites 'resid.1=resid.2'");
    refused({"map", "wide", "--family", "gauge", "-o", "x"},
            "d = 17, and source has d = 12; gauge maps need one width");
    refused({"stats", "source", "same", "--map", "-o", "x"}, "name pairs as SOURCE_SITE=TARGET_SITE");
    refused({"stats", "source", "wider", "--map", "--site", "resid.9=resid.7", "-o", "x"},
            "there is no site 'resid.9'");
    refused({"stats", "source", "same", "--map", "--group", "permutation", "-o", "x"}, "which are for gauges");
    refused({"stats", "source", "wider", "-o", "x"}, "but for a map: 'regauge map SOURCE TARGET");
    refused({"merge-stats", "half", "gauge", "-o", "x"},
            "its sums are for a gauge, and those of half for a map to d = 12");
    refused({"merge-stats", "half", "wide", "-o", "x"}, "for a map to d = 17, and those of half for a map to d = 12");
    refused({"merge-stats", "half", "whole", "-o", "x"}, "are in another of these files too");
    refused(Words{"stats", "source", "same", "--map", "--like", "gauge", "-o", "x"} + pair,
            "gauge: its sums are for a gauge, and these are for a map to d = 12");
    REQUIRE(run(files, Words{"stats", "source.2", "same.2", "--map", "--first-row", "704", "-o", "otherwise"} + pair)
                .status == 0);
    refused({"merge-stats", "half", "otherwise", "-o", "x"}, "was quantized otherwise than in half");
    refused({"merge-stats", "half", "otherwise", "-o", "x"}, "--map --site resid.1=resid.1 --fit -o fit.stats' once");
    refused({"align", "whole", "same", "-o", "x"}, "give it alone: regauge map whole");
    refused({"map", "source", "gauge", "-o", "x"}, "give it alone: regauge align gauge");

    Host little{.files = files,
                .out = [](std::string_view) {},
                .err = [](std::string_view) {},
                .memory = [] { return std::uint64_t{1000}; }};
    std::string said;
    little.err = [&](std::string_view text) { said += text; };
    for (const Words& args : {Words{"stats", "source", "same", "--map", "-o", "x"} + pair,
                              Words{"merge-stats", "half", "-o", "x"}, Words{"map", "whole", "-o", "x"}}) {
        said.clear();
        CHECK(runCommand(args, little) == 2);
        CHECK_THAT(said, ContainsSubstring("a map from d = 12 to d = 12 needs about 1 GiB of memory"));
        CHECK_FALSE(files.exists("x"));
    }
}

TEST_CASE("maps of statistics: where each side has one site, none need be named", "[map][statistics]") {
    MemoryFiles files = someRows().files();
    for (const char* side : {"one", "other"})
        files.put(side, safetensors({randomArray(std::string("activations/") + side, {256, 9}, 3)}));
    REQUIRE(run(files, {"stats", "one", "other", "--map", "-o", "sums"}).status == 0);
    CHECK_THAT(run(files, {"show", "sums"}).out, ContainsSubstring("one=other: rows 0 .. 255"));
    REQUIRE(run(files, {"map", "sums", "-o", "map"}).status == 0);
    CHECK(readMaps(files, "map").best().family == MapFamily::identity);
}

TEST_CASE("maps of statistics: damaged and hostile files are refused, or read", "[map][statistics]") {
    MemoryFiles files = someRows().files();
    REQUIRE(run(files, {"stats", "source", "same", "--map", "--site", "resid.1=resid.1", "--rows", "90", "-o", "whole"})
                .status == 0);
    const std::string whole = files.text("whole");
    const auto outcome = [&](const std::string& bytes) {
        files.put("file", bytes);
        return outcomeOf([&] {
            const auto read = std::make_shared<const Statistics>(files.open("file"));
            MemorySink sink;
            const std::vector<std::shared_ptr<const Statistics>> parts{read};
            mergeStatistics(parts, sink);
            fitMaps(*read);
        });
    };
    CHECK(outcome(whole) == "done");
    for (std::size_t i = 0; i < whole.size(); i += i < 2000 ? 7 : 401) {
        std::string flipped = whole;
        flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
        INFO("byte " << i);
        if (outcome(flipped) == "done") FAIL_CHECK("flipped");
        if (outcome(whole.substr(0, i)) == "done") FAIL_CHECK("cut");
    }
    // With the digest of what was forged: a step that is no power of two, a centre that is no number, sums beyond what
    // the rows can give.
    const std::size_t image = whole.find("regauge joint"), next = whole.find("regauge sums", image);
    const std::size_t centre = image + 13 + 3 + 8 + 24 + 8, step = centre + 8 * d, sums = step + 8 * d + 8 + 16 * d;
    const auto forged = [&](std::size_t at, auto value) {
        std::string bytes = whole;
        std::memcpy(&bytes[at], &value, sizeof value);
        Sha256 hash;
        hash.update(std::as_bytes(std::span(bytes).subspan(image, next - 64 - image)));
        bytes.replace(next - 64, 64, hash.hex());
        return outcome(bytes);
    };
    CHECK(forged(centre, 1.5) == "done");
    CHECK_THAT(forged(step, 0.75), ContainsSubstring("the scale of these sums is none that rows give"));
    CHECK_THAT(forged(centre, std::numeric_limits<double>::quiet_NaN()), ContainsSubstring("none that rows give"));
    CHECK_THAT(forged(sums, std::int64_t{1} << 40), ContainsSubstring("larger than their number of rows allows"));
    CHECK_THAT(forged(sums + 8 * 4 * d, std::int64_t{1} << 40), ContainsSubstring("larger than their number of rows"));
}

#ifndef __EMSCRIPTEN__  // teams are native
TEST_CASE("a team of processes gives the maps of one, at named sites and at the best places", "[map][statistics]") {
    for (const Words& asked : {Words{"source", "same"}, Words{"source", "same", "--site", "resid.1=resid.1"},
                               Words{"source", "wider", "--skip-first", "3"}}) {
        MemoryFiles alone = someRows().files();
        const Ran one = run(alone, Words{"map"} + asked + Words{"-o", "map"});
        REQUIRE(one.status == 0);
        for (const std::size_t size : {2U, 3U}) {
            std::vector<MemoryFiles> files(size, someRows().files());
            const std::vector<Ran> ran = runTogether(files, Words{"map"} + asked + Words{"-o", "map"});
            CHECK(ran[0].status == 0);
            CHECK(ran[0].out == one.out);
            CHECK(files[0].text("map") == alone.text("map"));
            for (std::size_t rank = 1; rank < size; ++rank) {
                CHECK(ran[rank].out.empty());
                CHECK_FALSE(files[rank].exists("map"));
            }
        }
    }
}

TEST_CASE("a member of a team that fails to sum for a map is heard of, and nothing is written", "[map][statistics]") {
    const auto failure = [&](const Words& asked, const std::function<void(std::vector<MemoryFiles>&)>& spoil) {
        std::vector<MemoryFiles> files(3, someRows().files());
        spoil(files);
        const std::vector<Ran> ran = runTogether(files, Words{"map", "source", "same", "-o", "map"} + asked);
        CHECK(ran[0].status == 2);
        CHECK(std::ranges::count(ran[0].err, '\n') == 1);
        CHECK_FALSE(files[0].exists("map"));
        return ran[0].err;
    };
    const auto swap = [](auto& files) { files[1].contents["same"] = files[1].contents["source"]; };
    const Words named{"--site", "resid.1"};
    CHECK_THAT(failure(named, [](auto& files) { files[2].contents.erase("same"); }),
               ContainsSubstring("process 2 of 3: same: "));
    CHECK_THAT(failure(named, swap), ContainsSubstring("process 1 of 3: same: this process sees other rows of site"));
    CHECK_THAT(failure({}, swap), ContainsSubstring("process 1 of 3: same: this process sees other rows of site"));
    CHECK_THAT(failure({}, [](auto& files) { files[1] = MemoryFiles(), someRows().put(files[1], 0, 448); }),
               ContainsSubstring("this process sees other rows of site 'rows'"));
    CHECK_THAT(failure({"--site", "resid.5"}, [](auto&) {}), ContainsSubstring("there is no site 'resid.5'"));
}
#endif

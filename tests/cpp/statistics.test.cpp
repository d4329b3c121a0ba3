// Rows summed in parts, on several machines or by several processes: the gauge is the one of all the rows, bit for bit.
#include "regauge/statistics.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/sha256.hpp"
#include "command_run.hpp"
#include "io/bytes.hpp"
#include "memory_files.hpp"
#include "pairing/memory.hpp"
#include "refusal.hpp"
#include "regauge/io/gauge_json.hpp"
#include "rows_fixture.hpp"
#include "thread_team.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;
using regauge::testing::Numbers;

namespace {

// Rows [first, first + count) of an array.
class ArrayRows final : public RowReader {
public:
    ArrayRows(std::shared_ptr<const std::vector<float>> values, std::size_t d, std::uint64_t first, std::uint64_t count,
              std::string where)
        : values_(std::move(values)), d_(d), first_(first), count_(count), where_(std::move(where)) {}
    std::uint64_t rows() const override { return count_; }
    std::size_t d() const override { return d_; }
    Dtype dtype() const override { return Dtype::F32; }
    void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
        const auto begin = static_cast<std::size_t>(first_ + first) * d_ * 4,
                   size = static_cast<std::size_t>(count) * d_ * 4;
        std::ranges::copy(std::as_bytes(std::span(*values_)).subspan(begin, size), out.begin());
    }
    const std::string& where() const override { return where_; }

private:
    std::shared_ptr<const std::vector<float>> values_;
    std::size_t d_;
    std::uint64_t first_, count_;
    std::string where_;
};

constexpr std::size_t d = 24;
constexpr std::uint64_t rows = 4700,
                        sequence = 47;  // more than the quantizer is fitted to, and no multiple of a stripe

// Two sites with padding, token ids, gains and a site of weights; y[i] = sign[i] * x[perm[i]] and noise.
struct Pair {
    explicit Pair(float noise = 1.5f, std::uint64_t seed = 1) : truth(randomGauge(d, 7)) {
        Numbers numbers(seed);
        for (const char* side : {"source", "target"}) {
            Evidence& evidence = side == std::string("source") ? source : target;
            evidence.name = side, evidence.sha256 = FileHash(std::string(64, side[0])), evidence.d = d;
            evidence.tokenIds.emplace(rows), evidence.mask.emplace(rows);
            for (std::size_t row = 0; row < rows; ++row)
                (*evidence.tokenIds)[row] = static_cast<std::int64_t>(row * row % 1009),
                (*evidence.mask)[row] = row % 11 != 3;
        }
        for (const char* site : {"resid.0", "resid.1", "weights.0.q_proj"}) {
            auto x = std::make_shared<std::vector<float>>(rows * d), y = std::make_shared<std::vector<float>>(rows * d);
            for (std::size_t row = 0; row < rows; ++row) {
                const float common = numbers.normal(), massive = row % 500 == 0 ? 1000.0f : 1.0f;
                for (std::size_t j = 0; j < d; ++j)
                    (*x)[row * d + j] = massive * (numbers.normal() + common * static_cast<float>(j % 3));
                for (std::size_t i = 0; i < d; ++i)
                    (*y)[row * d + i] = truth.sign()[i] * (*x)[row * d + truth.perm()[i]] + noise * numbers.normal();
            }
            add(source, site, x), add(target, site, y);
        }
        for (const char* name : {"attn.0", "final"}) {
            Gains x{name, std::vector<double>(d)}, y = x;
            for (double& value : x.values) value = 1 + static_cast<double>(numbers.normal()) / 8;
            for (std::size_t i = 0; i < d; ++i)
                y.values[i] = x.values[truth.perm()[i]] + static_cast<double>(numbers.normal()) / 64;
            source.gains.push_back(x), target.gains.push_back(y);
        }
    }

    // The same evidence cut to rows [first, first + count), as if in files of their own.
    static Evidence cut(const Evidence& whole, std::uint64_t first, std::uint64_t count) {
        Evidence part = whole;
        part.name += "-" + std::to_string(first);
        const auto slice = [&](auto& list) {
            list = {list.begin() + static_cast<std::ptrdiff_t>(first),
                    list.begin() + static_cast<std::ptrdiff_t>(first + count)};
        };
        slice(*part.tokenIds), slice(*part.mask);
        for (std::size_t k = 0; k < part.sites.size(); ++k) {
            std::vector<float> values(count * d);
            whole.sites[k].rows->read(first, count, std::as_writable_bytes(std::span(values)));
            part.sites[k].rows = std::make_shared<ArrayRows>(std::make_shared<std::vector<float>>(std::move(values)), d,
                                                             0, count, part.name);
        }
        return part;
    }

    Gauge truth;
    Evidence source, target;

private:
    static void add(Evidence& evidence, const std::string& site, std::shared_ptr<const std::vector<float>> values) {
        evidence.sites.push_back({site, std::make_shared<ArrayRows>(std::move(values), d, 0, rows, evidence.name),
                                  sequence, site.starts_with("weights")});
    }
};

using File = std::shared_ptr<const Statistics>;

File fileOf(std::vector<std::byte> bytes, const std::string& name) {
    return std::make_shared<const Statistics>(std::make_shared<OwnedSource>(name, std::move(bytes)));
}

std::vector<std::byte> bytesFor(const Evidence& source, const Evidence& target, const StatisticsOptions& options) {
    MemorySink sink;
    writeStatistics(source, target, options, sink);
    return sink.take();
}

File summed(const Evidence& source, const Evidence& target, const StatisticsOptions& options,
            const std::string& name = "stats") {
    return fileOf(bytesFor(source, target, options), name);
}

std::vector<std::byte> merged(const std::vector<File>& parts) {
    MemorySink sink;
    mergeStatistics(parts, sink);
    return sink.take();
}

StatisticsOptions partOf(std::uint64_t part, std::uint64_t parts) {
    StatisticsOptions options;
    options.part = part, options.parts = parts;
    return options;
}

std::string withoutSides(const Alignment& alignment) {
    Alignment copy = alignment;
    copy.source = copy.target = {};
    return toJson(copy);
}

}  // namespace

TEST_CASE("statistics: parts in any order make the file of the whole, and its gauge is that of the rows") {
    const Pair pair(GENERATE(1.5F, 60.0F));  // beyond doubt, and far from it
    StatisticsOptions all;
    all.match.skipFirst = 2;
    SECTION("signed") {}
    SECTION("without Gram matrices") { all.match.statistic = Statistic::correlation; }
    SECTION("the baseline") { all.match.group = Group::permutation; }
    SECTION("the first rows of one site") { all.match.rows = 1001, all.match.sites = {"resid.1"}; }
    const std::string expected = toJson(match(pair.source, pair.target, all.match));
    const std::vector<std::byte> whole = bytesFor(pair.source, pair.target, all);
    CHECK(toJson(match(*fileOf(whole, "whole"), all.match)) == expected);
    for (const std::uint64_t parts : {2U, 3U, 7U, 100U}) {
        CAPTURE(parts);
        std::vector<File> files;
        for (std::uint64_t part = 0; part < parts; ++part) {
            StatisticsOptions one = all;
            one.part = part, one.parts = parts, one.match.threads = 1 + static_cast<unsigned>(part % 2);
            files.push_back(summed(pair.source, pair.target, one));
        }
        std::ranges::reverse(files);
        CHECK(merged(files) == whole);
        const File front = fileOf(merged({files.begin(), files.begin() + 2}), "front");  // sums of sums
        std::rotate(files.begin(), files.begin() + 2, files.end());
        files.resize(files.size() - 2), files.push_back(front);
        CHECK(merged(files) == whole);
    }
}

TEST_CASE("statistics: rows in files of their own, numbered and with one scale, are as good as in one") {
    const Pair pair;
    MatchOptions options;
    options.skipFirst = 2;
    const std::vector<std::uint64_t> ends{0, 4200, 4317, 4500, rows};  // nowhere the end of a block of 32
    const auto cut = [&](std::size_t k, StatisticsOptions one) {
        one.match = options;
        one.firstRow = ends[k];
        return summed(Pair::cut(pair.source, ends[k], ends[k + 1] - ends[k]),
                      Pair::cut(pair.target, ends[k], ends[k + 1] - ends[k]), one, "part-" + std::to_string(k));
    };
    StatisticsOptions fitOnly, like;
    fitOnly.fitOnly = true;
    const File fit = cut(0, fitOnly);
    like.like = fit.get();
    CHECK(fit->heading().sites[0].rows == 0);
    std::vector<File> files{fit};
    for (std::size_t k = 0; k < 4; ++k) files.push_back(cut(k, like));
    std::ranges::reverse(files);
    const File all = fileOf(merged(files), "all");
    CHECK(all->missing().empty());
    const Alignment alignment = match(*all, options);
    StatisticsOptions together;
    together.match = options, together.like = fit.get();
    CHECK(withoutSides(alignment) == withoutSides(match(*summed(pair.source, pair.target, together),
                                                        options)));  // the rows in one file, with that scale
    CHECK(alignment.gauge.fingerprint() == match(pair.source, pair.target, options).gauge.fingerprint());
    CHECK(alignment.source.name == "source-0 and 3 more");
    CHECK(alignment.gauge.perm() == pair.truth.perm());
    CHECK(alignment.gauge.sign() == pair.truth.sign());

    files.erase(files.begin() + 1);  // rows 4317 to 4499
    CHECK(fileOf(merged(files), "gap")->missing() == "rows 4317 to 4499 of site 'resid.0'");
    // Its own scale, or its rows taken for others: told, not added.
    CHECK_THAT(outcomeOf([&] {
                   merged({files.back(), cut(2, {})});
               }),
               ContainsSubstring("usage part-2: site 'resid.0' was quantized otherwise than in part-0") &&
                   ContainsSubstring("--like fit.stats"));
    CHECK_THAT(outcomeOf([&] {
                   merged({cut(3, like), cut(3, like)});
               }),
               ContainsSubstring("rows 4500 to 4699 of site 'resid.0' are in another of these files too"));
}

TEST_CASE("statistics: weights are summed too and looked at only where align would") {
    for (const float noise : {0.2f, 30.0f}) {
        const Pair pair(noise);
        const Alignment wanted = match(pair.source, pair.target), found = match(*summed(pair.source, pair.target, {}));
        CHECK(toJson(found) == toJson(wanted));
        const bool asked =
            std::ranges::any_of(found.sites, [](const SiteReport& site) { return site.name == "weights.0.q_proj"; });
        CHECK(asked == (noise > 1));
    }
}

TEST_CASE("statistics: files that do not belong together are refused") {
    const Pair pair;
    const StatisticsOptions half = partOf(0, 2), otherHalf = partOf(1, 2);
    const File first = summed(pair.source, pair.target, half, "first");
    const auto refused = [&](const Pair& other, const StatisticsOptions& options) {
        return outcomeOf([&] { merged({first, summed(other.source, other.target, options, "second")}); });
    };
    CHECK(refused(pair, otherHalf) == "done");
    StatisticsOptions changed = otherHalf;
    changed.match.statistic = Statistic::correlation;
    CHECK_THAT(refused(pair, changed), ContainsSubstring("it has no Gram matrices, unlike first"));
    changed = otherHalf, changed.match.skipFirst = 1;
    CHECK_THAT(refused(pair, changed), ContainsSubstring("the same --skip-first"));
    changed = otherHalf, changed.match.sites = {"resid.1"};
    CHECK_THAT(refused(pair, changed),
               ContainsSubstring("its sites are resid.1, and those of first are resid.0, resid.1, weights.0.q_proj"));
    Pair gains = pair;
    gains.source.gains[1].values[3] += 1;
    CHECK_THAT(refused(gains, otherHalf), ContainsSubstring("its gains are not those of first"));
    gains.source.gains.clear(), gains.target.gains.clear();
    CHECK(refused(gains, otherHalf) == "done");
    CHECK_THAT(refused(Pair(1.5f, 2), otherHalf),
               ContainsSubstring("quantized otherwise") || ContainsSubstring("gains"));

    MatchOptions unknownSite, baseline;
    unknownSite.sites = {"resid.9"}, baseline.group = Group::permutation;
    changed = half, changed.match.statistic = Statistic::correlation;
    const File plain = summed(pair.source, pair.target, changed, "plain");
    CHECK_THAT(outcomeOf([&] { match(*plain); }),
               ContainsSubstring("usage plain: these statistics have no Gram matrices"));
    CHECK_THAT(outcomeOf([&] { match(*first, baseline); }),
               ContainsSubstring("usage first: these statistics have Gram matrices"));
    CHECK_THAT(outcomeOf([&] { match(*first, unknownSite); }), ContainsSubstring("there is no site 'resid.9'"));
    Pair tokens = pair;
    (*tokens.target.tokenIds)[40] = -1;
    CHECK_THAT(refused(tokens, otherHalf), ContainsSubstring("tokensDiffer"));
}

TEST_CASE("statistics: gains alone are kept too") {
    Pair pair;
    pair.source.sites.clear(), pair.target.sites.clear();
    CHECK(toJson(match(*summed(pair.source, pair.target, {}))) == toJson(match(pair.source, pair.target)));
    pair.target.gains.clear();
    CHECK_THAT(outcomeOf([&] { summed(pair.source, pair.target, {}); }),
               ContainsSubstring("no site and no gains in common"));
}

TEST_CASE("statistics: damaged and hostile files are refused, or read") {
    const Pair pair;
    StatisticsOptions few;
    few.match.rows = 70, few.match.sites = {"resid.0"};
    const std::vector<std::byte> whole = bytesFor(pair.source, pair.target, few);
    const std::size_t jsonBytes = loadLittle<std::uint32_t>(&whole[16]),
                      digest = 20 + jsonBytes + 4 * d * sizeof(double);
    const auto outcome = [](std::vector<std::byte> bytes) {
        return outcomeOf([&] {
            const File file = fileOf(std::move(bytes), "file");
            merged({file});
            match(*file);
        });
    };
    CHECK(outcome(whole) == "done");
    for (std::size_t i = 0; i < whole.size(); i += i < 2000 ? 7 : 131) {
        auto flipped = whole;
        flipped[i] ^= std::byte{0x20};
        INFO("byte " << i);
        if (outcome(flipped) == "done") FAIL_CHECK("flipped");
        if (outcome({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(i)}) == "done") FAIL_CHECK("cut");
    }
    // Headings with a right checksum and anything in them.
    const std::string json(asText(std::span(whole).subspan(20, jsonBytes)));
    std::mt19937 random(3);
    for (int k = 0; k < 400; ++k) {
        std::string text = json;
        for (std::size_t changes = 1 + random() % 2; changes > 0; --changes) {
            static constexpr std::string_view pieces[] = {
                "-1",    "99999999999999999999", "1e300", "[]",   "{}",  "null", "\"", "0",
                "65536", "17592186044416",       ",",     "\xff", "true"};
            text.replace(random() % text.size(), random() % 4, pieces[random() % std::size(pieces)]);
        }
        std::vector<std::byte> forged(whole.begin(), whole.begin() + 20);
        storeLittle(static_cast<std::uint32_t>(text.size()), &forged[16]);
        const auto append = [&](std::span<const std::byte> more) {
            forged.insert(forged.end(), more.begin(), more.end());
        };
        append(asBytes(text));
        append(std::span(whole).subspan(20 + jsonBytes, digest - 20 - jsonBytes));
        Sha256 hash;
        hash.update(forged);
        append(asBytes(hash.hex()));
        append(std::span(whole).subspan(digest + 64));
        INFO(text);
        outcome(forged);  // no defect
    }
    auto version = whole;
    version[14] = std::byte{4};
    CHECK_THAT(outcome(version),
               ContainsSubstring("unsupported file: expected version 2 or 3 of statistics files, found 4"));
}

namespace {

// The pair's first rows as activation bundles: source and target, and in three parts source.0, target.0 ..
MemoryFiles bundles(const Pair& pair) {
    MemoryFiles files;
    const auto put = [&](const std::string& path, const Evidence& evidence, std::uint64_t first, std::uint64_t count) {
        std::vector<Array> arrays;
        for (std::size_t k = 0; k < 2; ++k) {
            Array array{"activations/" + evidence.sites[k].name, {count, d}, std::vector<float>(count * d)};
            evidence.sites[k].rows->read(first, count, std::as_writable_bytes(std::span(array.values)));
            arrays.push_back(std::move(array));
        }
        files.put(path, safetensors(arrays));
    };
    for (const Evidence* side : {&pair.source, &pair.target}) {
        put(side->name, *side, 0, rows);
        put(side->name + ".0", *side, 0, 4200), put(side->name + ".1", *side, 4200, 400),
            put(side->name + ".2", *side, 4600, 100);
    }
    return files;
}

std::string fingerprint(const MemoryFiles& files, const std::string& path) {
    return nlohmann::json::parse(files.text(path))["fingerprint"];
}

}  // namespace

TEST_CASE("the command: stats, merge-stats and align give the fingerprint of align") {
    const Pair pair;
    MemoryFiles files = bundles(pair);
    REQUIRE(run(files, {"align", "source", "target", "-o", "gauge.json"}).status == 0);
    const std::string wanted = fingerprint(files, "gauge.json");
    CHECK(wanted == pair.truth.fingerprint());

    for (const char* k : {"1", "2", "3"})
        CHECK(
            run(files, {"stats", "source", "target", "--shard", std::string(k) + "/3", "-o", std::string("shard-") + k})
                .status == 0);
    CHECK(run(files, {"merge-stats", "shard-3", "shard-1", "shard-2", "-o", "all.stats"}).status == 0);
    CHECK(run(files, {"align", "all.stats", "-o", "from-stats.json"}).status == 0);
    CHECK(files.text("from-stats.json") == files.text("gauge.json"));

    CHECK(run(files, {"stats", "source.0", "target.0", "--fit", "-o", "fit.stats"}).status == 0);
    CHECK(files.text("fit.stats").size() < 12000);
    for (const auto& [k, row] : {std::pair("0", "0"), std::pair("1", "4200"), std::pair("2", "4600")})
        CHECK(run(files, {"stats", std::string("source.") + k, std::string("target.") + k, "--first-row", row, "--like",
                          "fit.stats", "-o", std::string("own-") + k})
                  .status == 0);
    CHECK(run(files, {"merge-stats", "own-1", "own-0", "own-2", "-o", "own.stats"}).status == 0);
    CHECK(run(files, {"align", "own.stats", "-o", "own.json"}).status == 0);
    CHECK(fingerprint(files, "own.json") == wanted);

    const Ran inspected = run(files, {"inspect", "all.stats", "--json"});
    const auto json = nlohmann::json::parse(inspected.out);
    CHECK(json["kind"] == "statistics");
    CHECK(json["sites"][1]["name"] == "resid.1");
    CHECK(json["sites"][1]["covered"] == nlohmann::json::parse("[[0,4700]]"));
    CHECK(json["missing"] == "");
    CHECK_THAT(run(files, {"inspect", "shard-1"}).out,
               ContainsSubstring("missing: rows 1536 to 4699 of site 'resid.0'"));
}

TEST_CASE("the command: statistics are refused with a sentence, and leave nothing behind") {
    const Pair pair;
    MemoryFiles files = bundles(pair);
    REQUIRE(run(files, {"stats", "source", "target", "--shard", "1/2", "-o", "half"}).status == 0);
    const auto refused = [&](const std::vector<std::string>& args, const std::string& sentence) {
        const std::size_t before = files.contents.size();
        const Ran ran = run(files, args);
        CHECK(ran.status == 2);
        CHECK(ran.out.empty());
        CHECK_THAT(ran.err, ContainsSubstring(sentence));
        CHECK(files.contents.size() == before);
    };
    for (const char* shard : {"0/2", "3/2", "2", "1/0", "a/b", "1/2/3", "-1/2"})
        refused({"stats", "source", "target", "--shard", shard, "-o", "x"}, "expected K/N with K from 1 to N");
    refused({"align", "half", "-o", "x"}, "rows 2304 to 4699 of site 'resid.0' are not in it");
    CHECK(run(files, {"align", "half", "--partial", "-o", "partial.json"}).status == 0);
    refused({"align", "half", "target", "-o", "x"}, "holds the sums of both sides; give it alone");
    refused({"align", "source", "-o", "x"}, "TARGET is missing");
    refused({"align", "half", "--partial", "--rows", "5", "-o", "x"}, "settled when these statistics were summed");
    refused({"merge-stats", "half", "source", "-o", "x"}, "source: expected a statistics file");
    refused({"merge-stats", "half", "half", "-o", "x"},
            "rows 0 to 2303 of site 'resid.0' are in another of these files too");
    refused({"merge-stats", "half", "-o", "half", "--force"}, "is one of the inputs");
    refused({"merge-stats", "half", "nothing", "-o", "x"}, "nothing: expected a statistics file");
    refused({"stats", "source", "target", "--like", "source", "-o", "x"}, "expected a statistics file");
    refused({"stats", "source", "target.1", "-o", "x"}, "rows are paired by position");
    files.writableBytes = 5000;  // the disk fills up
    refused({"stats", "source", "target", "-o", "x"}, "no space left");
}

TEST_CASE("what cannot fit into memory is refused before it is allocated, with what would need less") {
    const Pair pair;
    MemoryFiles files = bundles(pair);
    const auto refused = [&](const std::vector<std::string>& args, std::uint64_t memory) {
        std::string said;
        Host host{.files = files,
                  .out = [](std::string_view) {},
                  .err = [&](std::string_view text) { said += text; },
                  .memory = [=] { return memory; }};
        const int status = runCommand(args, host);
        CHECK(status == (said.empty() ? 0 : 2));
        return said;
    };
    const std::uint64_t little = std::uint64_t{48} << 20, enough = std::uint64_t{49} << 20;
    CHECK_THAT(refused({"align", "source", "target", "--quiet"}, little),
               ContainsSubstring(
                   "target: d = 24 with whitening needs 48.2 MiB of memory, and 48.0 MiB is free here; --statistic "
                   "correlation needs 48.0 MiB; one --site needs 48.2 MiB; otherwise use a machine with more memory"));
    CHECK_THAT(refused({"stats", "source", "target", "-o", "x", "--quiet"}, little),
               ContainsSubstring("target: d = 24 with whitening needs"));
    CHECK_FALSE(files.exists("x"));
    CHECK(refused({"stats", "source", "target", "-o", "x", "--quiet"}, enough).empty());
    CHECK_THAT(refused({"merge-stats", "x", "-o", "y", "--quiet"}, little),
               ContainsSubstring("x: d = 24 with whitening needs"));
    CHECK_THAT(refused({"align", "x", "--quiet"}, little), ContainsSubstring("x: d = 24 with whitening needs"));
    CHECK(refused({"align", "source", "target", "--quiet"}, enough).empty());
    CHECK(refused({"align", "source", "target", "--quiet"}, 0).empty());

    constexpr double gib = 1 << 30;
    const auto needed = [](std::size_t width, bool whitened) {
        return static_cast<double>(memoryNeeded({.d = width, .rows = 4096, .withGram = whitened})) / gib;
    };
    CHECK(needed(8192, true) < 2.5);
    CHECK(needed(8192, true) > 1.7);
    CHECK(needed(8192, false) < 1.2);
    CHECK(memoryNeeded({.d = 8192, .rows = 100000, .withGram = true}) >
          memoryNeeded({.d = 8192, .rows = 4096, .withGram = true}));
}

#ifndef __EMSCRIPTEN__  // teams are native
TEST_CASE("processes that were started with different words are all refused, and none waits for another",
          "[statistics]") {
    std::vector<MemoryFiles> files(3);
    for (const std::vector<std::string>& other :
         std::vector<std::vector<std::string>>{{"align", "a", "b", "--rows", "7"}, {"align", "ab"}, {"--help"}, {}})
        for (const Ran& ran : runTogether(files, {"align", "a", "b"}, other)) CHECK(ran.status == 2);
}

TEST_CASE("a team of processes gives the gauge of one") {
    const Pair pair;
    MemoryFiles alone = bundles(pair);
    REQUIRE(run(alone, {"align", "source", "target", "--skip-first", "3", "-o", "gauge.json"}).status == 0);
    for (const std::size_t size : {1U, 2U, 3U, 4U}) {
        std::vector<MemoryFiles> files(size, bundles(pair));
        const std::vector<Ran> ran =
            runTogether(files, {"align", "source", "target", "--skip-first", "3", "-o", "gauge.json"});
        CHECK(ran[0].status == 0);
        CHECK(files[0].text("gauge.json") == alone.text("gauge.json"));
        for (std::size_t rank = 1; rank < size; ++rank) {
            CHECK(ran[rank].out.empty());
            CHECK_FALSE(files[rank].exists("gauge.json"));
        }
    }
    // Other commands are for the first one alone.
    std::vector<MemoryFiles> files(2, bundles(pair));
    const std::vector<Ran> ran = runTogether(files, {"stats", "source", "target", "-o", "all.stats"});
    CHECK((ran[0].status == 0 && ran[1].status == 0));
    CHECK((files[0].exists("all.stats") && !files[1].exists("all.stats")));
}

TEST_CASE("a member of a team that fails is heard of, and nothing is written") {
    const Pair pair;
    const auto failure = [&](const std::function<void(std::vector<MemoryFiles>&)>& spoil) {
        std::vector<MemoryFiles> files(3, bundles(pair));
        spoil(files);
        const std::vector<Ran> ran = runTogether(files, {"align", "source", "target", "-o", "gauge.json"});
        CHECK(ran[0].status == 2);
        CHECK(std::ranges::count(ran[0].err, '\n') == 1);
        CHECK_FALSE(files[0].exists("gauge.json"));
        return ran[0].err;
    };
    CHECK_THAT(failure([](auto& files) { files[2].contents.erase("target"); }),
               ContainsSubstring("process 2 of 3: target: "));
    CHECK_THAT(failure([&](auto& files) { files[1] = bundles(Pair(1.5f, 2)); }),
               ContainsSubstring("process 1 of 3: target: this process sees other rows of site 'resid.0'"));
    CHECK_THAT(failure([](auto& files) {
                   const float nan = std::numeric_limits<float>::quiet_NaN();
                   Bytes& bytes = files[2].contents.at("source");
                   std::memcpy(&bytes[bytes.size() - 4 * d], &nan, 4);
               }),
               ContainsSubstring("row 4699"));
    CHECK_THAT(failure([](auto& files) { files[0].put("gauge.json.lock", ""), files[0].contents.erase("source"); }),
               ContainsSubstring("regauge: source: "));
    std::vector<MemoryFiles> files(2, bundles(pair));
    files[0].put("gauge.json", "there");
    CHECK_THAT(runTogether(files, {"align", "source", "target", "-o", "gauge.json"})[0].err,
               ContainsSubstring("exists already"));
}
#endif

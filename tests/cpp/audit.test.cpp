#include "regauge/audit.hpp"

#include <algorithm>
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "audit/survival.hpp"
#include "native_files.hpp"
#include "refusal.hpp"
#include "regauge/random_gauge.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinAbs;

namespace {

const std::string sample = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/";

std::set<std::size_t> topByHand(const std::vector<double>& values, std::size_t k) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return std::fabs(values[a]) > std::fabs(values[b]); });
    return {order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k)};
}

// Spearman by the definition: ranks counted one by one, ties at the mean, then Pearson in doubles.
double spearmanByHand(const std::vector<double>& x, const std::vector<double>& y) {
    const auto ranks = [](const std::vector<double>& v) {
        std::vector<double> r;
        for (const double value : v) {
            double below = 0, equal = 0;
            for (const double other : v)
                below += std::fabs(other) < std::fabs(value), equal += std::fabs(other) == std::fabs(value);
            r.push_back(below + (equal + 1) / 2);
        }
        return r;
    };
    const std::vector<double> a = ranks(x), b = ranks(y);
    const double n = static_cast<double>(a.size()), mean = (n + 1) / 2;
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        ab += (a[i] - mean) * (b[i] - mean), aa += (a[i] - mean) * (a[i] - mean), bb += (b[i] - mean) * (b[i] - mean);
    return ab / std::sqrt(aa * bb);
}

// The mean over all pairs of k-subsets is the mean of |{0..k-1} and S| / |or| over all S.
double chanceByHand(unsigned d, unsigned k) {
    double sum = 0;
    int count = 0;
    for (unsigned bits = 0; bits < 1U << d; ++bits) {
        if (std::popcount(bits) != static_cast<int>(k)) continue;
        const int common = std::popcount(bits & ((1U << k) - 1));
        sum += static_cast<double>(common) / (2.0 * k - common);
        ++count;
    }
    return sum / count;
}

bool exactlyOne(const std::optional<Spread>& spread) {
    return spread && spread->mean == 1 && spread->low == 1 && spread->high == 1;
}

}  // namespace

TEST_CASE("random gauges are the same numbers everywhere, and uniform") {
    RandomGauges random(0);
    const Gauge first = random.next(8);
    // Computed with a Python splitmix64, whose first output of seed 0 is the published 0xE220A8397B1DCDAF.
    CHECK(first.perm() == std::vector<std::uint32_t>{2, 5, 0, 3, 4, 6, 1, 7});
    CHECK(first.sign() == std::vector<std::int8_t>{-1, -1, 1, 1, 1, 1, -1, -1});
    CHECK(RandomGauges(0).next(8) == first);
    CHECK_FALSE(RandomGauges(1).next(8) == first);
    // Each of the 48 elements of B_3, 4800 draws: chi-squared with 47 degrees of freedom stays below 83 in 99.9 % of
    // cases.
    RandomGauges many(2);
    std::map<std::string, int> counts;
    for (int n = 0; n < 4800; ++n) ++counts[many.next(3).fingerprint()];
    CHECK(counts.size() == 48);
    double chi = 0;
    for (const auto& [element, count] : counts) chi += (count - 100.0) * (count - 100.0) / 100;
    CHECK(chi < 83);
}

TEST_CASE("a vector's audit is what brute force gives for the same gauges") {
    MemoryFiles files;
    const Array rows = randomArray("array", {2, 12}, 5);
    files.put("v.safetensors", safetensors({rows}));
    AuditOptions options;
    options.k = 4, options.gauges = 50, options.seed = 9;
    const AuditReport report = audit(files, "v.safetensors", std::nullopt, options);
    CHECK(report.claims == 2);
    CHECK(report.d == 12);

    RandomGauges random(9);
    std::vector<double> overlaps, ranks, signs;
    for (int n = 0; n < 50; ++n) {
        const Gauge gauge = random.next(12);
        double overlap = 0, rank = 0, sign = 0;
        for (std::size_t row = 0; row < 2; ++row) {
            const std::vector<double> x(rows.values.begin() + static_cast<std::ptrdiff_t>(12 * row),
                                        rows.values.begin() + static_cast<std::ptrdiff_t>(12 * row + 12));
            std::vector<double> y;
            for (std::size_t i = 0; i < 12; ++i) y.push_back(gauge.sign()[i] * x[gauge.perm()[i]]);
            const std::set<std::size_t> a = topByHand(x, 4), b = topByHand(y, 4);
            std::vector<std::size_t> common;
            std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
            overlap += static_cast<double>(common.size()) / static_cast<double>(8 - common.size()) / 2;
            rank += spearmanByHand(x, y) / 2;
            for (const std::size_t i : b) sign += gauge.sign()[i] > 0 ? 1.0 / 8 : 0;
        }
        overlaps.push_back(overlap), ranks.push_back(rank), signs.push_back(sign);
    }
    const auto check = [](std::vector<double> values, const std::optional<Spread>& spread) {
        REQUIRE(spread);
        CHECK_THAT(spread->mean, WithinAbs(std::accumulate(values.begin(), values.end(), 0.0) / 50, 1e-12));
        std::sort(values.begin(), values.end());
        CHECK_THAT(spread->low, WithinAbs(values[2], 1e-12));  // the 3rd of 50: 5 % or more lie at or below it
        CHECK_THAT(spread->high, WithinAbs(values[47], 1e-12));
    };
    check(overlaps, report.notMoved.overlap);
    check(ranks, report.notMoved.rank);
    check(signs, report.notMoved.sign);
    CHECK(exactlyOne(report.moved.overlap));
    CHECK(exactlyOne(report.moved.rank));
    CHECK(exactlyOne(report.moved.sign));
    CHECK(report.survives);
}

TEST_CASE("the expected overlap by chance is the mean over all subsets") {
    for (unsigned d = 1; d <= 12; ++d)
        for (unsigned k = 1; k <= d; ++k) CHECK_THAT(chanceOverlap(d, k), WithinAbs(chanceByHand(d, k), 1e-12));
    CHECK_THAT(chanceOverlap(100000, 1), WithinAbs(1e-5, 1e-12));
    CHECK(chanceOverlap(4096, 2048) > 0.33);
    CHECK(chanceOverlap(4096, 2048) < 0.34);
}

TEST_CASE("ranks with ties correlate as the definition says") {
    for (unsigned seed = 0; seed < 20; ++seed) {
        std::mt19937 random(seed);
        std::vector<double> a, b;
        for (int i = 0; i < 15; ++i)
            a.push_back(static_cast<double>(random() % 5)), b.push_back(static_cast<double>(random() % 4));
        const auto rank = spearman(centredRanks(a), centredRanks(b));
        REQUIRE(rank);
        CHECK_THAT(*rank, WithinAbs(spearmanByHand(a, b), 1e-12));
    }
    CHECK_FALSE(spearman(centredRanks({1, 1, 1}), centredRanks({1, 2, 3})));
}

TEST_CASE("the sample's steering vector falls to chance unless it is transported") {
    const NativeFiles files;
    const Gauge gauge = randomGauge(128, 3);
    Alignment alignment = alignmentOf(gauge);
    alignment.source.name = "source", alignment.target.name = "target";
    const AuditReport report = audit(files, sample + "source/steering_resid2.npy", alignment, {});
    CHECK(report.d == 128);
    CHECK(report.k == 10);
    CHECK_THAT(report.notMoved.overlap->mean, WithinAbs(*report.chance.overlap, 0.01));
    CHECK_THAT(report.notMoved.rank->mean, WithinAbs(0, 0.02));
    CHECK_THAT(report.notMoved.sign->mean, WithinAbs(0.5, 0.02));
    CHECK(exactlyOne(report.moved.overlap));
    REQUIRE(report.gauge);
    CHECK(report.gauge->fingerprint == gauge.fingerprint());
    CHECK(report.gauge->moved.overlap == 1.0);
    CHECK(report.gauge->moved.rank == 1.0);
    CHECK(report.gauge->moved.sign == 1.0);
    CHECK(*report.gauge->notMoved.overlap < 0.5);
    CHECK_THAT(report.statement, ContainsSubstring("relative to gauge " + gauge.fingerprint()) &&
                                     ContainsSubstring("transported, it is unchanged"));
}

TEST_CASE("lists are audited by value, by attribution or by their order") {
    MemoryFiles files;
    files.put("values.json",
              R"([{"neuron": 3, "value": -1.5}, {"neuron": 17, "value": 0.5}, {"neuron": 99, "value": 2.25}])");
    files.put("attributions.csv", "channel,attribution\n4,0.25\n7,0.75\n200,0.5\n");
    files.put("order.json", "[12, 5, 900]");
    AuditOptions options;
    options.d = 1024, options.k = 2, options.gauges = 200;
    for (const std::string object : {"values.json", "attributions.csv", "order.json"}) {
        INFO(object);
        const AuditReport report = audit(files, object, std::nullopt, options);
        CHECK(report.survives);
        CHECK(exactlyOne(report.moved.overlap));
        CHECK(exactlyOne(report.moved.rank));
        CHECK(report.notMoved.overlap->mean < 0.05);
        CHECK(report.notMoved.sign.has_value() == (object == "values.json"));  // only signed values have a sign to lose
    }
    // A gauge that exchanges the two most important channels with others: what is left of the top two can be counted by
    // hand.
    std::vector<std::uint32_t> perm(1024);
    std::iota(perm.begin(), perm.end(), 0U);
    std::swap(perm[99], perm[500]);
    const Alignment one = alignmentOf(Gauge(perm, std::vector<std::int8_t>(1024, 1)));
    const AuditReport report = audit(files, "values.json", one, options);
    CHECK_THAT(*report.gauge->notMoved.overlap, WithinAbs(1.0 / 3, 1e-15));  // {3, 99} and {3, 500}
    CHECK(*report.gauge->notMoved.sign == 1);
    std::swap(perm[99], perm[500]), std::swap(perm[7], perm[500]);  // the largest attribution
    CHECK_THAT(*audit(files, "attributions.csv", alignmentOf(Gauge(perm, std::vector<std::int8_t>(1024, 1))), options)
                    .gauge->notMoved.overlap,
               WithinAbs(1.0 / 3, 1e-15));
    std::swap(perm[7], perm[500]), std::swap(perm[900], perm[500]);  // the last in order: not among the top two
    CHECK(*audit(files, "order.json", alignmentOf(Gauge(perm, std::vector<std::int8_t>(1024, 1))), options)
               .gauge->notMoved.overlap == 1);
}

TEST_CASE("an audit refuses what it cannot read") {
    MemoryFiles files;
    files.put("list.json", "[1, 2, 30]");
    files.put("polar.json", R"({"top_positive": [1, 2, 3, 4, 5, 6]})");
    Array bad = randomArray("array", {8}, 1);
    bad.values[3] = std::nanf("");
    files.put("nan.safetensors", safetensors({bad}));
    files.put("sae.safetensors", safetensors({randomArray("W_enc", {8, 3}, 1), randomArray("W_dec", {3, 8}, 2),
                                              randomArray("b_enc", {3}, 3), randomArray("b_dec", {8}, 4)}));
    const auto code = [&](const std::string& object, std::size_t width, std::size_t k = 2) {
        AuditOptions options;
        options.d = width, options.k = k, options.gauges = 20;
        return codeOf([&] { audit(files, object, std::nullopt, options); });
    };
    CHECK(code("list.json", 0) == ErrorCode::usage);
    CHECK(code("list.json", 16) == ErrorCode::dimensionMismatch);
    CHECK_FALSE(code("list.json", 64));
    CHECK(code("list.json", 64, 0) == ErrorCode::usage);
    CHECK(code("polar.json", 64) == ErrorCode::unsupported);
    CHECK(code("nan.safetensors", 0) == ErrorCode::notFinite);
    CHECK(code("sae.safetensors", 0) == ErrorCode::unsupported);
    CHECK(code("missing.npy", 0) == ErrorCode::missingFile);
}

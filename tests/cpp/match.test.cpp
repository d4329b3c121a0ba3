#include "regauge/match.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <numeric>
#include <random>

#include "match/match_sums.hpp"
#include "pairing/site_sums.hpp"
#include "refusal.hpp"
#include "regauge/ceiling.hpp"
#include "regauge/error.hpp"
#include "scores/block.hpp"

using namespace regauge;
using test::codeOf;
using test::outcomeOf;

namespace {

using Rows = std::vector<float>;  // row-major, rows x d

class ArrayRows final : public RowReader {
public:
    ArrayRows(Rows values, std::size_t d) : values_(std::move(values)), d_(d) {}
    std::uint64_t rows() const override { return values_.size() / d_; }
    std::size_t d() const override { return d_; }
    Dtype dtype() const override { return Dtype::F32; }
    void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
        const auto bytes =
            std::as_bytes(std::span(values_))
                .subspan(static_cast<std::size_t>(first) * d_ * 4, static_cast<std::size_t>(count) * d_ * 4);
        std::ranges::copy(bytes, out.begin());
    }
    const std::string& where() const override { return where_; }

private:
    Rows values_;
    std::size_t d_;
    std::string where_ = "array";
};

Evidence evidence(Rows values, std::size_t d, const std::string& site = "rows") {
    Evidence result;
    result.name = "array";
    result.d = d;
    result.sites.push_back({site, std::make_shared<ArrayRows>(std::move(values), d)});
    return result;
}

std::mt19937_64 seeded(std::uint64_t seed) { return std::mt19937_64(seed); }

// Decimals from our own recipe, so that every standard library gives the same: the sum of twelve uniforms.
float gaussian(std::mt19937_64& random) {
    double sum = -6;
    for (int k = 0; k < 12; ++k) sum += static_cast<double>(random() >> 11) * 0x1p-53;
    return static_cast<float>(sum);
}

// Gain vectors of the source, of deviation 0.2, and those of the target: moved by the truth, with so much noise.
void addGains(Evidence& source, Evidence& target, int vectors, const Gauge& truth, double noise,
              std::mt19937_64& random) {
    for (int vector = 0; vector < vectors; ++vector) {
        Gains x{"norm." + std::to_string(vector), std::vector<double>(truth.d())}, y = x;
        for (double& value : x.values) value = 1 + 0.2 * gaussian(random);
        for (std::size_t i = 0; i < truth.d(); ++i)
            y.values[i] = x.values[truth.perm()[i]] + (noise > 0 ? noise * gaussian(random) : 0);
        source.gains.push_back(x), target.gains.push_back(y);
    }
}

Rows gaussianRows(std::size_t rows, std::size_t d, std::mt19937_64& random) {
    Rows values(rows * d);
    for (float& value : values) value = gaussian(random);
    return values;
}

// Rows whose channels share common directions, as residual streams do.
Rows correlatedRows(std::size_t rows, std::size_t d, std::mt19937_64& random) {
    const std::size_t directions = 4;
    const Rows loading = gaussianRows(directions, d, random), strength = gaussianRows(rows, directions, random);
    Rows values = gaussianRows(rows, d, random);
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t j = 0; j < d; ++j)
            for (std::size_t k = 0; k < directions; ++k)
                values[r * d + j] += 2 * strength[r * directions + k] * loading[k * d + j];
    return values;
}

Gauge planted(std::size_t d, double positive, std::mt19937_64& random) {
    std::vector<std::uint32_t> perm(d);
    std::iota(perm.begin(), perm.end(), 0U);
    for (std::size_t i = d; i > 1; --i) std::swap(perm[i - 1], perm[random() % i]);
    std::vector<std::int8_t> sign(d, -1);
    for (std::size_t i = 0; i < static_cast<std::size_t>(std::lround(positive * static_cast<double>(d))); ++i)
        sign[i] = 1;
    for (std::size_t i = d; i > 1; --i) std::swap(sign[i - 1], sign[random() % i]);
    return Gauge(perm, sign);
}

// y[i] = sign[i] x[perm[i]] + noise, row by row.
Rows seenFrom(const Rows& x, const Gauge& gauge, double noise, std::mt19937_64& random) {
    const std::size_t d = gauge.d();
    Rows y(x.size());
    for (std::size_t r = 0; r < x.size() / d; ++r)
        for (std::size_t i = 0; i < d; ++i)
            y[r * d + i] = gauge.sign()[i] * x[r * d + gauge.perm()[i]] + static_cast<float>(noise) * gaussian(random);
    return y;
}

// Rows whose channels share some strong directions; the rest falls by so many powers of ten.
Rows fadingRows(std::size_t rows, std::size_t d, std::size_t shared, double powers, std::mt19937_64& random) {
    const Rows mixing = gaussianRows(d, d, random), features = gaussianRows(rows, d, random);
    const Rows directions = gaussianRows(shared, d, random), common = gaussianRows(rows, shared, random);
    const auto ofAll = static_cast<double>(d);
    Rows x(rows * d, 0.0F);
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t j = 0; j < d; ++j) {
            for (std::size_t k = 0; k < d; ++k)
                x[row * d + j] +=
                    static_cast<float>(std::pow(10.0, -powers * static_cast<double>(k) / ofAll) / std::sqrt(ofAll)) *
                    features[row * d + k] * mixing[k * d + j];
            for (std::size_t k = 0; k < shared; ++k)
                x[row * d + j] += 3 * common[row * shared + k] * directions[k * d + j];
        }
    return x;
}

// Noise of its own on every channel, as loud as a share of the channel.
Rows drifted(const Rows& x, std::size_t d, double noise, std::mt19937_64& random) {
    Rows y = x;
    const std::size_t rows = x.size() / d;
    for (std::size_t j = 0; j < d; ++j) {
        double squares = 0;
        for (std::size_t row = 0; row < rows; ++row)
            squares += static_cast<double>(x[row * d + j]) * static_cast<double>(x[row * d + j]);
        for (std::size_t row = 0; row < rows; ++row)
            y[row * d + j] +=
                static_cast<float>(noise * std::sqrt(squares / static_cast<double>(rows))) * gaussian(random);
    }
    return y;
}

// Rows of d channels that all mix the same few features, the first of them the loudest, and a little noise.
Rows mixedFrom(const Rows& features, std::size_t count, std::size_t d, std::mt19937_64& random) {
    const std::size_t rows = features.size() / count;
    const Rows mixing = gaussianRows(count, d, random);
    Rows values = gaussianRows(rows, d, random);
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t j = 0; j < d; ++j) {
            values[row * d + j] *= 0.3F;
            for (std::size_t k = 0; k < count; ++k)
                values[row * d + j] += 3 * features[row * count + k] * mixing[k * d + j] / static_cast<float>(k + 1);
        }
    return values;
}

double rightOf(const Alignment& alignment, const Gauge& truth) { return compare(alignment.gauge, truth).both; }

MatchOptions withGroup(Group group) {
    MatchOptions options;
    options.group = group;
    return options;
}

}  // namespace

TEST_CASE("the ceiling theorem: raw signed matching recovers the positive fraction, sign-marginalized matching all") {
    auto random = seeded(1);
    const std::size_t d = 96;
    for (const double positive : {0.25, 0.5, 0.75, 1.0}) {
        const Rows x = gaussianRows(1500, d, random);
        const Gauge truth = planted(d, positive, random);
        const Evidence source = evidence(x, d), target = evidence(seenFrom(x, truth, 0.3, random), d);
        CHECK(rightOf(match(source, target), truth) == 1.0);
        const double baseline = compare(match(source, target, withGroup(Group::permutation)).gauge, truth).permutation;
        CHECK(baseline >= positive);         // every channel with sign +1
        CHECK(baseline <= positive + 0.06);  // and next to none of the others, but by chance
    }
}

TEST_CASE("matching commutes with the group: a source seen in other coordinates gives the composed gauge") {
    auto random = seeded(2);
    const std::size_t d = 40;
    const Rows x = correlatedRows(600, d, random);
    const Gauge truth = planted(d, 0.5, random), other = planted(d, 0.5, random);
    const Rows y = seenFrom(x, truth, 0.4, random);
    auto silent = seeded(0);
    const Evidence source = evidence(x, d), target = evidence(y, d), moved = evidence(seenFrom(x, other, 0, silent), d);
    for (const Statistic statistic : {Statistic::correlation, Statistic::whitened, Statistic::automatic}) {
        MatchOptions options;
        options.statistic = statistic;
        const Gauge direct = match(source, target, options).gauge, fromMoved = match(moved, target, options).gauge;
        CHECK(other.then(fromMoved) == direct);
    }
}

TEST_CASE("channels that share a few common directions are told apart, and the answer does not depend on the threads") {
    auto random = seeded(3);
    const std::size_t d = 64;
    const Rows x = correlatedRows(512, d, random);
    const Gauge truth = planted(d, 0.5, random);
    const Evidence source = evidence(x, d), target = evidence(seenFrom(x, truth, 0.6, random), d);
    MatchOptions two;
    two.threads = 2;
    const Alignment one = match(source, target), both = match(source, target, two);
    CHECK(rightOf(one, truth) == 1.0);
    CHECK(one.verdict == Verdict::aligned);
    CHECK(both.gauge.fingerprint() == one.gauge.fingerprint());
    CHECK(both.score == one.score);
}

TEST_CASE("a site that a quick look settles is summed once, coarsely; one that it leaves in doubt again, finely") {
    const double noise = GENERATE(0.6, 30.0);
    auto random = seeded(5);
    const std::size_t d = 64;
    const Rows x = correlatedRows(512, d, random);
    const Gauge truth = planted(d, 0.5, random);
    const Evidence source = evidence(x, d), target = evidence(seenFrom(x, truth, noise, random), d);
    std::vector<Resolution> asked;
    const SumsOf sumsOf = [&](const std::string& site, Resolution resolution) {
        asked.push_back(resolution);
        return sumSite(source, target, site, {}, resolution, {});
    };
    const Alignment alignment = matchSums(source, target, {}, sumsOf, {});
    if (noise < 1) {
        CHECK(asked == std::vector{Resolution::coarse});
        CHECK(alignment.sites[0].statistic == "ridge");
        CHECK(rightOf(alignment, truth) == 1.0);
    } else {
        CHECK(asked == std::vector{Resolution::coarse, Resolution::fine});
        CHECK(alignment.sites[0].statistic != "ridge");
    }
}

TEST_CASE("noise and rows paired wrongly are unrelated, never aligned") {
    auto random = seeded(4);
    for (int trial = 0; trial < 12; ++trial) {
        const std::size_t d = trial % 2 == 0 ? 32 : 64, rows = trial % 3 == 0 ? 128 : 1024;
        const Rows x = correlatedRows(rows, d, random);
        CHECK(match(evidence(x, d), evidence(correlatedRows(rows, d, random), d)).verdict == Verdict::unrelated);
        Rows shuffled = x;
        for (std::size_t r = rows; r > 1; --r)
            std::swap_ranges(&shuffled[(r - 1) * d], &shuffled[(r - 1) * d] + d, &shuffled[random() % (r - 1) * d]);
        CHECK(match(evidence(x, d), evidence(shuffled, d)).verdict == Verdict::unrelated);
    }
}

TEST_CASE("two models of few channels that mix the same few features are unrelated") {
    // Of few channels one is soon like another, in all rows and in both halves of them.
    const std::size_t d = GENERATE(8UL, 12UL, 16UL, 24UL);
    auto random = seeded(50 + d);
    int unrelated = 0;
    for (int trial = 0; trial < 40; ++trial) {
        const std::size_t rows = trial % 2 == 0 ? 128 : 512, count = trial % 3 == 0 ? 4 : d / 2;
        const Rows features = gaussianRows(rows, count, random);
        const Rows x = mixedFrom(features, count, d, random), y = mixedFrom(features, count, d, random);
        const Verdict verdict = match(evidence(x, d), evidence(y, d)).verdict;
        CHECK(verdict != Verdict::aligned);
        unrelated += verdict == Verdict::unrelated ? 1 : 0;
    }
    CHECK(unrelated >= 39);
}

TEST_CASE("plain correlation, asked for, calls what is reproducible and wrong unrelated, and what is right aligned") {
    auto random = seeded(17);
    MatchOptions correlation;
    correlation.statistic = Statistic::correlation;
    for (const MatchOptions& options : {correlation, withGroup(Group::permutation)})
        for (const std::size_t d : {2, 4, 8, 16, 32, 64}) {
            INFO(d);
            for (int trial = 0; trial < 8; ++trial) {
                // Two vocabularies of their own, the same tokens in both halves.
                const std::size_t tokens = 100, rows = 2000;
                const Rows one = gaussianRows(tokens, d, random), other = gaussianRows(tokens, d, random);
                Rows x, y;
                for (std::size_t row = 0; row < rows; ++row) {
                    const auto token = static_cast<std::ptrdiff_t>(random() % tokens * d);
                    x.insert(x.end(), one.begin() + token, one.begin() + token + static_cast<std::ptrdiff_t>(d));
                    y.insert(y.end(), other.begin() + token, other.begin() + token + static_cast<std::ptrdiff_t>(d));
                }
                CHECK(match(evidence(x, d), evidence(y, d), options).verdict == Verdict::unrelated);
                const Rows features = gaussianRows(512, d, random);
                CHECK(match(evidence(mixedFrom(features, d, d, random), d),
                            evidence(mixedFrom(features, d, d, random), d), options)
                          .verdict != Verdict::aligned);
            }
            if (d < 8) continue;
            const Rows x = gaussianRows(1000, d, random);
            const Gauge truth = planted(d, 1, random);
            const Alignment right = match(evidence(x, d), evidence(seenFrom(x, truth, 0.3, random), d), options);
            CHECK(right.verdict == Verdict::aligned);
            CHECK(rightOf(right, truth) == 1.0);
        }
}

TEST_CASE("of channels that are the same twice, each is as likely as the other") {
    auto random = seeded(18);
    constexpr std::size_t d = 32, rows = 2000;
    Rows x = gaussianRows(rows, d, random);
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t j = 0; j < d; j += 2) x[row * d + j + 1] = x[row * d + j];
    const Gauge truth = planted(d, 1, random);
    auto silent = seeded(0);
    const Rows y = seenFrom(x, truth, 0, silent);
    MatchOptions correlation;
    correlation.statistic = Statistic::correlation;
    for (const MatchOptions& options : {MatchOptions(), correlation, withGroup(Group::permutation)})
        CHECK(match(evidence(x, d), evidence(y, d), options).estimate < 0.6);
}

TEST_CASE("a right answer of few channels and few rows is believed") {
    constexpr std::size_t d = 32, rows = 64;
    auto random = seeded(70);
    int believed = 0;
    for (int trial = 0; trial < 20; ++trial) {
        const Rows x = fadingRows(rows, d, 3, 2, random);
        const Gauge truth = planted(d, 0.5, random);
        const Alignment alignment =
            match(evidence(x, d), evidence(seenFrom(drifted(x, d, 0.7, random), truth, 0, random), d));
        CHECK((rightOf(alignment, truth) < 0.95 || alignment.verdict != Verdict::unrelated));
        believed += alignment.verdict != Verdict::unrelated ? 1 : 0;
    }
    CHECK(believed >= 18);
}

TEST_CASE("two models that already share coordinates give the identity") {
    auto random = seeded(5);
    const std::size_t d = 48;
    const Rows x = correlatedRows(400, d, random);
    const Alignment alignment = match(evidence(x, d), evidence(seenFrom(x, Gauge::identity(d), 0.2, random), d));
    CHECK(alignment.gauge.isIdentity());
    CHECK(alignment.verdict == Verdict::aligned);
    CHECK(match(evidence(x, d), evidence(x, d)).gauge.isIdentity());
}

TEST_CASE("a constant channel is reported, not fatal") {
    auto random = seeded(6);
    const std::size_t d = 32;
    Rows x = gaussianRows(400, d, random);
    for (std::size_t r = 0; r < 400; ++r) x[r * d + 7] = 3, x[r * d + 8] = 0;
    const Gauge truth = planted(d, 0.5, random);
    auto silent = seeded(0);
    Rows y = seenFrom(x, truth, 0, silent);
    const Alignment alignment = match(evidence(x, d), evidence(y, d));
    CHECK(alignment.gauge.undetermined() == 2);
    CHECK(alignment.verdict == Verdict::aligned);
    for (std::size_t i = 0; i < d; ++i) {
        const std::uint32_t j = truth.perm()[i];
        if (j == 7 || j == 8) {
            CHECK(alignment.gauge.sign()[i] == 0);
            CHECK(alignment.confidence[i] == 0);
        } else {
            CHECK(alignment.gauge.perm()[i] == j);
            CHECK(alignment.gauge.sign()[i] == truth.sign()[i]);
        }
    }
}

TEST_CASE("channels of which nothing is known are not estimated right") {
    auto random = seeded(6);
    const std::size_t d = 32, alive = 4, rows = 400;
    Rows x = gaussianRows(rows, d, random);
    for (std::size_t r = 0; r < rows; ++r) std::fill_n(x.begin() + static_cast<long>(r * d + alive), d - alive, 0.0F);
    const Gauge truth = planted(d, 1, random);
    const Rows y = seenFrom(x, truth, 0, random);
    for (const Group group : {Group::signedPermutation, Group::permutation}) {
        const Alignment alignment = match(evidence(x, d), evidence(y, d), withGroup(group));
        CHECK(alignment.estimate < 0.2);
        CHECK(alignment.verdict == Verdict::unrelated);
    }
}

TEST_CASE("a few massive rows do no harm") {
    auto random = seeded(7);
    const std::size_t d = 48;
    Rows x = correlatedRows(512, d, random);
    const Gauge truth = planted(d, 0.5, random);
    Rows y = seenFrom(x, truth, 0.5, random);
    for (std::size_t r = 0; r < 512; r += 64)
        for (std::size_t j = 0; j < d; ++j)
            x[r * d + j] = 200 * gaussian(random), y[r * d + j] = 200 * gaussian(random);
    const Alignment alignment = match(evidence(x, d), evidence(y, d));
    CHECK(rightOf(alignment, truth) == 1.0);
    CHECK(alignment.verdict == Verdict::aligned);
    CHECK(alignment.sites[0].setAside == 8);
}

TEST_CASE("massive rows that both models have in common settle what the others leave open") {
    auto random = seeded(12);
    const std::size_t d = 64, rows = 128;
    const Rows x = gaussianRows(rows, d, random);
    const Gauge truth = planted(d, 0.5, random);
    const Rows y = seenFrom(x, truth, 3, random);
    const Rows common = gaussianRows(1, d, random);
    const auto withMassiveRows = [&](Rows values, const Rows& vector) {
        for (std::size_t r = 0; r < rows; r += 32)
            for (std::size_t j = 0; j < d; ++j) values[r * d + j] = 200 * vector[j] + gaussian(random);
        return values;
    };
    const Rows massiveX = withMassiveRows(x, common), massiveY = withMassiveRows(y, seenFrom(common, truth, 0, random));
    const auto masked = [&](const Rows& values) {  // the same rows, as if the massive ones were padding
        Evidence result = evidence(values, d);
        result.mask = std::vector<std::uint8_t>(rows, 1);
        for (std::size_t r = 0; r < rows; r += 32) (*result.mask)[r] = 0;
        return result;
    };
    const Alignment before = match(masked(massiveX), masked(massiveY)),
                    after = match(evidence(massiveX, d), evidence(massiveY, d));
    CHECK(after.sites[0].setAside == 4);
    CHECK(rightOf(before, truth) < 0.9);
    CHECK(rightOf(after, truth) > 0.95);
    CHECK(after.estimate > 0.9);
    CHECK(after.gauge.fingerprint() ==
          "4cfca9e8a725d98a2022b4b62ff4afea8e83bda3ec2c84ad60cb7f32572a2fb4");  // on every target
    CHECK(compare(before.sites[0].gauge, after.sites[0].gauge).both ==
          1);  // the site's own answer is that of its ordinary rows

    SECTION("the same is found in other coordinates, as surely") {
        const Gauge moved = planted(d, 0.3, random);
        auto silent = seeded(0);
        const Alignment there = match(evidence(massiveX, d), evidence(seenFrom(massiveY, moved, 0, silent), d));
        for (std::size_t i = 0; i < d; ++i) {
            const std::uint32_t k = moved.perm()[i];
            CHECK(there.gauge.perm()[i] == after.gauge.perm()[k]);
            CHECK(there.gauge.sign()[i] == moved.sign()[i] * after.gauge.sign()[k]);
            CHECK(std::fabs(there.confidence[i] - after.confidence[k]) < 1e-4);
        }
    }
    SECTION("massive rows of each model's own, and groups that they say nothing in, change nothing") {
        const Rows ownY = withMassiveRows(y, gaussianRows(1, d, random));
        for (const auto& [target, group] :
             {std::pair{&ownY, Group::signedPermutation}, std::pair{&massiveY, Group::permutation},
              std::pair{&massiveY, Group::layernorm}}) {
            const Alignment without = match(masked(massiveX), masked(*target), withGroup(group)),
                            with = match(evidence(massiveX, d), evidence(*target, d), withGroup(group));
            CHECK(with.gauge.fingerprint() == without.gauge.fingerprint());
            CHECK(with.confidence == without.confidence);
            CHECK(with.score == without.score);
            CHECK(with.margin == without.margin);
        }
    }
}

TEST_CASE("massive rows whose other channels are as ever take nothing from a sure answer") {
    // A few channels are massive in one row of 32, as attention sinks have them; how alike the others are there says
    // little.
    constexpr std::size_t d = 64, rows = 128, massive = 4;
    auto random = seeded(80);
    for (int trial = 0; trial < 10; ++trial) {
        Rows x = fadingRows(rows, d, 3, 1, random), y = drifted(x, d, 0.3, random);
        const Gauge truth = planted(d, 0.5, random);
        const double without = rightOf(match(evidence(x, d), evidence(seenFrom(y, truth, 0, random), d)), truth);
        for (std::size_t k = 0; k < massive; ++k) {
            const float level = 400 * gaussian(random);
            for (std::size_t row = 0; row < rows; row += 32)
                x[row * d + 7 * k] = level, y[row * d + 7 * k] = 1.05F * level;
        }
        CHECK(rightOf(match(evidence(x, d), evidence(seenFrom(y, truth, 0, random), d)), truth) >= without - 0.04);
    }
}

TEST_CASE("unrelated models stay unrelated whatever their massive rows say") {
    auto random = seeded(13);
    for (const std::size_t d : {16, 64}) {
        for (const bool same : {false, true}) {
            Rows x = correlatedRows(256, d, random), y = correlatedRows(256, d, random);
            const Rows ofX = gaussianRows(1, d, random), ofY = same ? ofX : gaussianRows(1, d, random);
            for (std::size_t r = 0; r < 256; r += 64)
                for (std::size_t j = 0; j < d; ++j) x[r * d + j] = 200 * ofX[j], y[r * d + j] = 200 * ofY[j];
            const Alignment alignment = match(evidence(x, d), evidence(y, d));
            CHECK(alignment.sites[0].setAside == 4);
            CHECK(alignment.verdict == Verdict::unrelated);
        }
    }
}

TEST_CASE("a useless site does not spoil a good one, and each site's own answer is shown") {
    auto random = seeded(8);
    const std::size_t d = 48;
    const Rows x = correlatedRows(512, d, random);
    const Gauge truth = planted(d, 0.5, random);
    Evidence source = evidence(x, d, "good"), target = evidence(seenFrom(x, truth, 0.5, random), d, "good");
    source.sites.push_back(evidence(correlatedRows(512, d, random), d, "useless").sites[0]);
    target.sites.push_back(evidence(correlatedRows(512, d, random), d, "useless").sites[0]);
    const Alignment alignment = match(source, target);
    CHECK(rightOf(alignment, truth) == 1.0);
    REQUIRE(alignment.sites.size() == 2);
    CHECK(compare(alignment.sites[0].gauge, truth).both == 1.0);
    CHECK(compare(alignment.sites[1].gauge, truth).both < 0.2);
    CHECK(alignment.sites[0].weight > 10 * alignment.sites[1].weight);
}

TEST_CASE("weights are asked while they may settle a doubt, and no longer") {
    auto random = seeded(9);
    const std::size_t d = 64, count = 48;
    const Gauge truth = planted(d, 0.5, random);
    const auto modelPair = [&](double noise) {  // a pair of models each of whose weights says as little as the others
        std::pair<Evidence, Evidence> both{evidence(gaussianRows(128, d, random), d, "embedding"),
                                           evidence(gaussianRows(128, d, random), d, "embedding")};
        for (std::size_t k = 0; k < count; ++k) {
            const std::string name = "weights." + std::to_string(k);
            const Rows x = gaussianRows(128, d, random);
            const Rows y = noise > 0 ? seenFrom(x, truth, noise, random) : gaussianRows(128, d, random);
            both.first.sites.push_back(evidence(x, d, name).sites[0]);
            both.second.sites.push_back(evidence(y, d, name).sites[0]);
            both.first.sites.back().weights = both.second.sites.back().weights = true;
        }
        return both;
    };
    const auto [source, target] = modelPair(4);
    const Alignment related = match(source, target);
    CHECK(related.verdict == Verdict::aligned);
    CHECK(rightOf(related, truth) >= 0.9);

    std::size_t asked = 0;
    for (int trial = 0; trial < 4; ++trial) {
        const auto [one, other] = modelPair(0);
        const Alignment unrelated = match(one, other);
        CHECK(unrelated.verdict == Verdict::unrelated);
        CHECK(unrelated.estimate < 0.2);
        asked += unrelated.sites.size();
    }
    CHECK(asked <= 3 * count);  // of 4 * (count + 1): of few channels chance alone looks like a little evidence
}

TEST_CASE("gains alone give the permutation and leave every sign undetermined") {
    auto random = seeded(9);
    const std::size_t d = 64;
    const Gauge truth = planted(d, 0.5, random);
    Evidence source, target;
    source.d = target.d = d;
    source.name = target.name = "gains";
    addGains(source, target, 8, truth, 0.02, random);
    const Alignment alignment = match(source, target);
    CHECK(alignment.gauge.perm() == truth.perm());
    CHECK(alignment.gauge.undetermined() == d);
    CHECK(alignment.verdict == Verdict::partial);  // no sign is known
    CHECK(alignment.estimate == 0);
    CHECK(alignment.statistic == "gains");
    const Alignment layernorm = match(source, target, withGroup(Group::layernorm));
    CHECK(layernorm.verdict == Verdict::partial);  // nor here, where they should all be one
    CHECK(layernorm.estimate == 0);
    MatchOptions gainsOnly;
    gainsOnly.sites = {"gains"};
    CHECK(match(source, target, gainsOnly).gauge.perm() == truth.perm());
}

TEST_CASE("sure gains place the channels, and few rows tell their signs") {
    auto random = seeded(19);
    const std::size_t d = 96;
    const Gauge truth = planted(d, 0.5, random);
    const Rows x = gaussianRows(40, d, random);
    Evidence source = evidence(x, d), target = evidence(seenFrom(x, truth, 1.2, random), d);
    addGains(source, target, 24, truth, 0.02, random);
    const Alignment alignment = match(source, target);
    CHECK(alignment.gauge.perm() == truth.perm());
    CHECK(rightOf(alignment, truth) >= 0.95);
    CHECK(std::fabs(alignment.estimate - rightOf(alignment, truth)) < 0.05);
}

TEST_CASE("gains and rows of which neither knows the channels place them together") {
    const Group group = GENERATE(Group::signedPermutation, Group::layernorm);
    auto random = seeded(23);
    const std::size_t d = 96;
    const Gauge truth = planted(d, group == Group::layernorm ? 0 : 0.5, random);
    const Rows x = gaussianRows(48, d, random), y = seenFrom(x, truth, 2.0, random);
    Evidence source = evidence(x, d), target = evidence(y, d), gainsOfSource = source, gainsOfTarget = target;
    addGains(source, target, 16, truth, 0.22, random);
    gainsOfSource.sites.clear(), gainsOfTarget.sites.clear();
    gainsOfSource.gains = source.gains, gainsOfTarget.gains = target.gains;
    const auto placed = [&](const Alignment& alignment) { return compare(alignment.gauge, truth).permutation; };
    const double byGains = placed(match(gainsOfSource, gainsOfTarget, withGroup(group)));
    const double byRows = rightOf(match(evidence(x, d), evidence(y, d), withGroup(group)), truth);
    const Alignment together = match(source, target, withGroup(group));
    CAPTURE(byGains, byRows, rightOf(together, truth), together.estimate);
    CHECK(byGains < 0.9);
    CHECK(byRows < 0.9);
    CHECK(rightOf(together, truth) >= std::max(byGains, byRows) + 0.08);
    CHECK(std::fabs(together.estimate - rightOf(together, truth)) < 0.05);
}

TEST_CASE("sure gains do not make rows of other tokens a match") {
    auto random = seeded(29);
    const std::size_t d = 96, rows = 192;
    for (int trial = 0; trial < 8; ++trial) {
        const Gauge truth = planted(d, 0.5, random);
        const Rows x = gaussianRows(rows, d, random), paired = seenFrom(x, truth, 0.3, random);
        Rows y = paired;  // 37 rows on: relations between channels stay, signs are open
        std::rotate(y.begin(), y.begin() + 37 * static_cast<std::ptrdiff_t>(d), y.end());
        Evidence source = evidence(x, d), target = evidence(y, d);
        addGains(source, target, 16, truth, 0, random);
        const Alignment alignment = match(source, target);
        CAPTURE(trial, alignment.estimate, rightOf(alignment, truth));
        CHECK(alignment.verdict == Verdict::unrelated);
    }
}

TEST_CASE("the layernorm group finds a permutation and one sign for all") {
    auto random = seeded(10);
    const std::size_t d = 32;
    const Rows x = gaussianRows(500, d, random);
    for (const double positive : {0.0, 1.0}) {
        const Gauge truth = planted(d, positive, random);
        const Alignment alignment =
            match(evidence(x, d), evidence(seenFrom(x, truth, 0.3, random), d), withGroup(Group::layernorm));
        CHECK(rightOf(alignment, truth) == 1.0);
        CHECK(alignment.verdict == Verdict::aligned);
    }
}

TEST_CASE("evidence that does not pair is refused with what differs") {
    auto random = seeded(11);
    const auto refusal = [](const Evidence& source, const Evidence& target) {
        return outcomeOf([&] { match(source, target); });
    };
    using Catch::Matchers::ContainsSubstring;
    const Rows x = gaussianRows(64, 8, random);
    CHECK_THAT(refusal(evidence(x, 8), evidence(gaussianRows(64, 16, random), 16)),
               ContainsSubstring("dimensionMismatch"));
    CHECK_THAT(refusal(evidence(x, 8), evidence(gaussianRows(63, 8, random), 8)), ContainsSubstring("rowsMismatch"));
    CHECK_THAT(refusal(evidence(x, 8, "resid.1"), evidence(x, 8, "resid.2")), ContainsSubstring("resid.2"));
    Evidence source = evidence(x, 8), target = evidence(x, 8);
    std::vector<std::int64_t> tokens(64, 5);
    source.tokenIds = tokens;
    tokens[17] = 6;
    target.tokenIds = tokens;
    CHECK_THAT(refusal(source, target), ContainsSubstring("tokensDiffer") && ContainsSubstring("row 17"));
    // Where the one has more rows, the first ones are of the same tokens.
    Rows longer = x;
    longer.insert(longer.end(), x.begin(), x.begin() + 8L * 8);
    Evidence more = evidence(longer, 8);
    more.tokenIds = tokens;
    more.tokenIds->resize(72, 5);
    MatchOptions first;
    for (const auto& [rows, fits] : {std::pair(17, true), std::pair(64, false)}) {
        first.rows = static_cast<std::uint64_t>(rows);
        if (fits)
            CHECK_NOTHROW(match(source, more, first));
        else
            CHECK_THROWS_WITH(match(more, source, first), ContainsSubstring("row 17"));
    }
    Rows broken = x;
    broken[3 * 8 + 5] = NAN;
    CHECK_THAT(refusal(evidence(x, 8), evidence(broken, 8)),
               ContainsSubstring("notFinite") && ContainsSubstring("row 3") && ContainsSubstring("5"));
}

TEST_CASE("noise alike in all channels: plain correlation's answer is taken, and what is asked for is done") {
    // 64 channels that share three strong directions; the rest falls by so many powers of ten: whitening makes its
    // noise louder than all else.
    struct Pair {
        std::size_t rows;
        double powers, noise;
    };
    const auto [rows, powers, noise] = GENERATE(Pair{64, 1, 0.3}, Pair{1024, 3, 1});
    constexpr std::size_t d = 64, shared = 3;
    auto random = seeded(31);
    const Rows x = fadingRows(rows, d, shared, powers, random);
    const Rows y = drifted(x, d, noise, random);
    const Evidence source = evidence(x, d), target = evidence(y, d);
    const Gauge identity = Gauge::identity(d);
    const auto right = [&](Statistic statistic) {
        MatchOptions options;
        options.statistic = statistic;
        return compare(match(source, target, options).gauge, identity).both;
    };
    CHECK(right(Statistic::whitened) < right(Statistic::correlation) - 0.05);
    const Alignment automatic = match(source, target);
    CHECK(automatic.statistic == "correlation");
    CHECK(compare(automatic.gauge, identity).both == right(Statistic::correlation));
    CHECK(std::fabs(automatic.estimate - compare(automatic.gauge, identity).both) < 0.1);
}

TEST_CASE("an answer far above chance on average is beyond doubt only when both halves give it") {
    Block block;
    block.advantage = 3;
    block.margins = {std::vector<double>(4, 3.5), std::vector<double>(4, 0.5)};
    const Gauge identity = Gauge::identity(4), other({1, 0, 2, 3}, {1, 1, 1, 1});
    block.ofHalf = {identity, identity};
    CHECK(block.sure());
    block.ofHalf = {identity, other};
    CHECK_FALSE(block.sure());
}

TEST_CASE("padding rows and skipped first rows take no part") {
    auto random = seeded(12);
    const std::size_t d = 32, sequence = 16;
    const Rows x = gaussianRows(512, d, random);
    const Gauge truth = planted(d, 0.5, random);
    Rows y = seenFrom(x, truth, 0.3, random);
    Evidence source = evidence(x, d), target = evidence(y, d);
    source.mask = std::vector<std::uint8_t>(512, 1);
    for (std::size_t r = 0; r < 512; r += 4) (*source.mask)[r] = 0;
    source.sites[0].sequence = target.sites[0].sequence = sequence;
    CHECK(match(source, target).rows == 384);
    MatchOptions options;
    options.skipFirst = 2;  // rows 0 (padding already) and 1 of each sequence
    CHECK(match(source, target, options).rows == 384 - 512 / sequence);
    options.rows = 256;
    CHECK(match(source, target, options).rows == 192 - 256 / sequence);

    y.resize(384 * d);  // of other lengths, with a shape on one side only
    Evidence fewer = evidence(y, d);
    CHECK(match(source, fewer, options).rows == 192 - 256 / sequence);
    CHECK(match(fewer, source, options).rows == 192 - 256 / sequence);
    fewer.sites[0].sequence = 2 * sequence;
    CHECK_THROWS_WITH(match(source, fewer, options), Catch::Matchers::ContainsSubstring("sequences of 32 rows"));
    options.skipFirst = sequence;
    CHECK_THROWS_WITH(match(source, target, options), Catch::Matchers::ContainsSubstring("none is left"));
}

TEST_CASE("the simulated ceiling is the diagonal for permutations, and no ceiling for signed permutations") {
    CeilingOptions options;
    options.d = 64;
    options.rows = 800;
    options.steps = 4;
    const std::vector<CeilingPoint> points = ceiling(options);
    REQUIRE(points.size() == 5);
    for (const CeilingPoint& point : points) {
        CHECK(point.signMarginalized == 1.0);
        CHECK(point.permutationOnly >= point.positive);
        CHECK(point.permutationOnly <= point.positive + 0.08);
    }
    options.d = 1;
    CHECK(codeOf([&] { ceiling(options); }) == ErrorCode::usage);
}

TEST_CASE("the simulated ceiling can be cancelled within a match, and takes no more memory than it may") {
    CeilingOptions options;
    options.d = 64;
    options.steps = 1;
    std::size_t asked = 0;
    ceiling(options, Progress([&](std::string_view, std::uint64_t step, std::uint64_t steps) {
                CHECK((step < 2 && steps == 2));
                return ++asked > 0;
            }));
    CHECK(asked > 4);  // two steps of two matches each
    const auto code = [&](const Progress& progress) { return codeOf([&] { ceiling(options, progress); }); };
    CHECK(code(Progress([&](auto&&...) { return --asked > 2; })) == ErrorCode::cancelled);
    options.memory = 1000;
    CHECK(code({}) == ErrorCode::tooLarge);
}

// CorrelationSums: right, exact, independent of how rows arrive, equivariant, and safe to send.
// (Past 400 lines: all the promises of one class, on one set of helpers.)
#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "base/sha256.hpp"
#include "refusal.hpp"
#include "regauge/correlation.hpp"
#include "regauge/error.hpp"
#include "rows_fixture.hpp"

using namespace regauge;
using regauge::testing::Numbers;
using regauge::testing::onEveryInstructionSet;
using regauge::testing::RowPair;
using regauge::testing::Rows;
using test::codeOf;
using test::Refusal;
using test::requireRefusal;

namespace {

CorrelationSums begin(const RowPair& pair, bool withGram = true, Resolution resolution = Resolution::coarse) {
    return {fitQuantizer(pair.x.view(), "x", resolution), fitQuantizer(pair.y.view(), "y", resolution), withGram};
}

CorrelationSums sum(const RowPair& pair, bool withGram = true, unsigned threads = 1,
                    Resolution resolution = Resolution::coarse) {
    CorrelationSums sums = begin(pair, withGram, resolution);
    sums.add(pair.x.view(), pair.y.view(), 0, "x", "y", {}, threads);
    return sums;
}

double pearson(const Rows& a, std::size_t i, const Rows& b, std::size_t j) {
    double meanA = 0, meanB = 0, ab = 0, aa = 0, bb = 0;
    for (std::size_t row = 0; row < a.rows; ++row) {
        meanA += static_cast<double>(a.at(row, i)) / static_cast<double>(a.rows);
        meanB += static_cast<double>(b.at(row, j)) / static_cast<double>(a.rows);
    }
    for (std::size_t row = 0; row < a.rows; ++row) {
        const double fromA = static_cast<double>(a.at(row, i)) - meanA;
        const double fromB = static_cast<double>(b.at(row, j)) - meanB;
        ab += fromA * fromB;
        aa += fromA * fromA;
        bb += fromB * fromB;
    }
    return ab / std::sqrt(aa * bb);
}

// The checksum's digits put right, so that what lies behind it is tested.
void signAgain(std::vector<std::byte>& image) {
    Sha256 hash;
    hash.update(std::span(image).first(image.size() - 64));
    const std::string digits = hash.hex();
    std::memcpy(image.data() + image.size() - 64, digits.data(), 64);
}

}  // namespace

TEST_CASE("correlations agree with Pearson in float64 within the quantisation, which is less where it is fine") {
    for (const auto& [resolution, d] : {std::pair{Resolution::coarse, std::size_t{1}},
                                        {Resolution::coarse, 5},
                                        {Resolution::coarse, 32},
                                        {Resolution::coarse, 45},
                                        {Resolution::fine, 45}}) {
        const RowPair pair(700, d);
        const CorrelationSums sums = sum(pair, true, 1, resolution);
        CHECK(sums.rows() == 700);
        std::vector<double> cross(d * d), gramX(d * d), gramY(d * d);
        sums.cross(cross);
        sums.gramX(gramX);
        sums.gramY(gramY);
        double worst = 0;
        for (std::size_t i = 0; i < d; ++i) {
            for (std::size_t j = 0; j < d; ++j) {
                worst = std::max(worst, std::fabs(cross[i * d + j] - pearson(pair.y, i, pair.x, j)));
                worst = std::max(worst, std::fabs(gramX[i * d + j] - pearson(pair.x, i, pair.x, j)));
                worst = std::max(worst, std::fabs(gramY[i * d + j] - pearson(pair.y, i, pair.y, j)));
                CHECK(gramX[i * d + j] == gramX[j * d + i]);
            }
            CHECK(gramX[i * d + i] == 1);
        }
        CHECK(worst < (resolution == Resolution::coarse ? 0.006 : 0.001));
        std::vector<float> narrow(d * d);
        sums.cross(narrow);
        for (std::size_t i = 0; i < d * d; ++i) CHECK(narrow[i] == static_cast<float>(cross[i]));
    }
}

TEST_CASE("the correlations of the halves add up: blocks of 32 rows take turns, by their number in the file") {
    const std::size_t d = 6;
    const RowPair pair(150, d);
    CorrelationSums sums = begin(pair, true, Resolution::fine);
    for (std::size_t first = 0; first < 150; first += 50)
        sums.add(pair.x.part(first, 50), pair.y.part(first, 50), first, "x", "y");
    CHECK(sums.rows(0) == 32 + 32 + 22);
    CHECK(sums.rows(1) == 64);
    const auto moments = [](const Rows& rows, std::size_t j) {
        double mean = 0, squares = 0;
        for (std::size_t row = 0; row < rows.rows; ++row)
            mean += static_cast<double>(rows.at(row, j)) / static_cast<double>(rows.rows);
        for (std::size_t row = 0; row < rows.rows; ++row)
            squares += std::pow(static_cast<double>(rows.at(row, j)) - mean, 2);
        return std::pair(mean, std::sqrt(squares));
    };
    std::vector<double> whole(d * d);
    sums.cross(whole);
    std::array<std::vector<float>, 2> found;
    for (const std::size_t half : {std::size_t{0}, std::size_t{1}}) {
        found[half].resize(d * d);
        sums.crossOfHalf(half, found[half]);
        for (std::size_t i = 0; i < d; ++i) {
            for (std::size_t j = 0; j < d; ++j) {
                const auto [meanY, sizeY] = moments(pair.y, i);
                const auto [meanX, sizeX] = moments(pair.x, j);
                double wanted = 0;
                for (std::size_t row = 0; row < 150; ++row) {
                    if (row / 32 % 2 == half)
                        wanted += (static_cast<double>(pair.y.at(row, i)) - meanY) *
                                  (static_cast<double>(pair.x.at(row, j)) - meanX);
                }
                CHECK(std::fabs(static_cast<double>(found[half][i * d + j]) - wanted / sizeX / sizeY) < 0.002);
            }
        }
    }
    for (std::size_t k = 0; k < d * d; ++k)
        CHECK(std::fabs(static_cast<double>(found[0][k]) + static_cast<double>(found[1][k]) - whole[k]) < 1e-6);
}

TEST_CASE("sums depend neither on the instruction set nor on threads, block sizes or the order of shards") {
    const Resolution resolution = GENERATE(Resolution::coarse, Resolution::fine);
    const RowPair pair(2100, 200);  // large enough that threads are started
    const auto begin = [resolution](const RowPair& of) { return ::begin(of, true, resolution); };
    const auto sum = [resolution](const RowPair& of, bool withGram = true, unsigned threads = 1) {
        return ::sum(of, withGram, threads, resolution);
    };
    const auto wanted = sum(pair).serialize();
    std::vector<double> cross(200 * 200);
    sum(pair).cross(cross);
    onEveryInstructionSet([&](std::string_view isa) {
        for (const unsigned threads : {1u, 2u, 5u}) {
            INFO(isa << ", " << threads << " threads");
            const CorrelationSums sums = sum(pair, true, threads);
            CHECK(sums.serialize() == wanted);
            std::vector<double> here(200 * 200);
            sums.cross(here);
            CHECK(std::memcmp(here.data(), cross.data(), cross.size() * sizeof(double)) == 0);
        }
        for (const std::size_t block : std::initializer_list<std::size_t>{1, 7, 256, 1000}) {
            if (block == 1 && isa == "scalar") continue;  // slow, and nothing new
            CorrelationSums sums = begin(pair);
            for (std::size_t first = 0; first < 2100; first += block) {
                const std::size_t count = std::min(block, 2100 - first);
                sums.add(pair.x.part(first, count), pair.y.part(first, count), first, "x", "y");
            }
            INFO(isa << ", blocks of " << block);
            CHECK(sums.serialize() == wanted);
        }
    });
    std::vector<CorrelationSums> shards(3, begin(pair));
    for (std::size_t first = 0; first < 2100; first += 300) {
        shards[(first / 300 * 5) % 3].add(pair.x.part(first, 300), pair.y.part(first, 300), first, "x", "y");
    }
    for (const auto& order : {std::array{0, 1, 2}, std::array{2, 0, 1}, std::array{1, 2, 0}}) {
        CorrelationSums merged = begin(pair);
        for (const int shard : order) merged.merge(shards[static_cast<std::size_t>(shard)]);
        CHECK(merged.serialize() == wanted);
    }
}

TEST_CASE("changing the instruction set half way changes nothing") {
    const RowPair pair(300, 40);
    const auto wanted = sum(pair).serialize();
    CorrelationSums sums = begin(pair);
    std::size_t first = 0;
    onEveryInstructionSet([&](std::string_view) {
        const std::size_t count = std::min<std::size_t>(40, 300 - first);
        sums.add(pair.x.part(first, count), pair.y.part(first, count), first, "x", "y");
        first += count;
    });
    sums.add(pair.x.part(first, 300 - first), pair.y.part(first, 300 - first), first, "x", "y");
    CHECK(sums.serialize() == wanted);
}

TEST_CASE("answers asked for between blocks do not disturb the sums") {
    const RowPair pair(90, 12);
    CorrelationSums sums = begin(pair);
    std::vector<double> cross(12 * 12);
    for (std::size_t first = 0; first < 90; first += 30) {
        sums.add(pair.x.part(first, 30), pair.y.part(first, 30), first, "x", "y");
        sums.cross(cross);
        const CorrelationSums copy = sums;
        CHECK(copy.rows() == first + 30);
    }
    CHECK(sums.serialize() == sum(pair).serialize());
}

TEST_CASE("a signed permutation of either side permutes and negates correlations to the bit") {
    const std::size_t d = 45;
    RowPair pair(400, d);
    for (std::size_t j = 0; j < d; ++j) {
        pair.x.at(0, j) *= 300;
        pair.y.at(200, j) *= 100;
    }
    for (std::size_t row = 0; row < 400; ++row) pair.y.at(row, 3) = 0.3f;  // constant
    std::vector<double> cross(d * d), gramY(d * d);
    const CorrelationSums plain = sum(pair);
    plain.cross(cross);
    plain.gramY(gramY);
    CHECK(plain.setAside() == 2);
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        Numbers numbers(seed);
        std::vector<std::size_t> perm(d);
        std::iota(perm.begin(), perm.end(), std::size_t{0});
        for (std::size_t i = d; i > 1; --i) std::swap(perm[i - 1], perm[numbers.below(i)]);
        std::vector<float> sign(d);
        for (float& s : sign) s = numbers.below(2) == 0 ? 1.0f : -1.0f;
        RowPair moved = pair;
        for (std::size_t row = 0; row < 400; ++row) {
            for (std::size_t i = 0; i < d; ++i) moved.y.at(row, i) = sign[i] * pair.y.at(row, perm[i]);
        }
        std::vector<double> found(d * d), foundGram(d * d);
        const CorrelationSums sums = sum(moved);
        sums.cross(found);
        sums.gramY(foundGram);
        CHECK(sums.setAside() == 2);
        CHECK(sums.massiveX() == plain.massiveX());
        bool same = true;
        for (std::size_t i = 0; i < d; ++i) {
            same = same && sums.massiveY()[i] == static_cast<std::int64_t>(sign[i]) * plain.massiveY()[perm[i]];
            for (std::size_t j = 0; j < d; ++j) {
                same = same && found[i * d + j] == static_cast<double>(sign[i]) * cross[perm[i] * d + j];
                same = same &&
                       foundGram[i * d + j] == static_cast<double>(sign[i] * sign[j]) * gramY[perm[i] * d + perm[j]];
            }
        }
        CHECK(same);
    }
}

TEST_CASE("saturated values over more rows than 32 bits can sum stay exact") {
    const Resolution resolution = GENERATE(Resolution::coarse, Resolution::fine);
    const std::size_t n =
        resolution == Resolution::coarse ? 1200000 : 20000;  // limit^2 n / 2 > 2^31: in one half of the rows
    RowPair pair(8, 3);
    const CorrelationSums small = begin(pair, true, resolution);
    Rows x(n, 3), y(n, 3);
    for (std::size_t row = 0; row < n; ++row) {
        const float far = row % 2 == 0 ? 1e6f : -1e6f;
        for (std::size_t j = 0; j < 3; ++j) {
            x.at(row, j) = far;
            y.at(row, j) = j == 1 ? -far : far;
        }
    }
    Quantizer wide = small.quantizerX();
    wide.rowLimit = 0;
    wide.centre.assign(3, 0.0f);
    CorrelationSums sums(wide, wide, true);
    sums.add(x.part(0, n / 2), y.part(0, n / 2), 0, "x", "y");
    CorrelationSums rest(wide, wide, true);
    rest.add(x.part(n / 2, n - n / 2), y.part(n / 2, n - n / 2), n / 2, "x", "y");
    sums.merge(rest);
    CHECK(sums.rows() == n);
    std::vector<double> cross(9);
    sums.cross(cross);
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 3; ++j) CHECK(cross[i * 3 + j] == (i == 1 ? -1.0 : 1.0));
    }
    CorrelationSums whole(wide, wide, true);
    whole.add(x.view(), y.view(), 0, "x", "y", {}, 2);
    CHECK(whole.serialize() == sums.serialize());
    const auto image = sums.serialize();
    CHECK(CorrelationSums::deserialize(image, "image").serialize() == image);
    rest.merge(whole);  // narrow takes wide
    CHECK(rest.rows() == n + n / 2);
}

TEST_CASE("narrow and wide sums give the same correlations") {
    // Past 266,288 rows some sums no longer fit 32 bits. Twice the same rows have the same correlations, and the same
    // bits but for rounding.
    const RowPair pair(64, 40);
    CorrelationSums narrow = begin(pair);
    for (int round = 0; round < 2; ++round) narrow.add(pair.x.view(), pair.y.view(), 0, "x", "y");
    CorrelationSums doubled = narrow;
    while (doubled.rows() < 400000) doubled.merge(CorrelationSums(doubled));
    std::vector<double> a(40 * 40), b(40 * 40);
    narrow.cross(a);
    doubled.cross(b);
    double worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::fabs(a[i] - b[i]));
    CHECK(worst < 1e-14);
}

TEST_CASE("massive rows on either side are left out on both, and counted") {
    const std::size_t d = 20;
    RowPair pair(320, d);
    const RowPair clean = pair;
    std::vector<std::uint8_t> bos(320, 0);
    for (std::size_t row = 0; row < 320; row += 32) {
        bos[row] = 1;
        Rows& side = row % 64 == 0 ? pair.x : pair.y;
        for (std::size_t j = 0; j < d; ++j) side.at(row, j) = 200.0f * static_cast<float>(j % 3 + 1);
    }
    const Quantizer x = fitQuantizer(pair.x.view(), "x"), y = fitQuantizer(pair.y.view(), "y");
    CorrelationSums found(x, y, true);
    found.add(pair.x.view(), pair.y.view(), 0, "x", "y");
    CHECK(found.setAside() == 10);
    CHECK(found.rows() == 310);
    CorrelationSums wanted(x, y, true);
    wanted.add(clean.x.view(), clean.y.view(), 0, "x", "y", bos);  // the same rows skipped by hand
    CHECK(wanted.setAside() == 0);
    std::vector<double> a(d * d), b(d * d);
    found.cross(a);
    wanted.cross(b);
    CHECK(a == b);
}

TEST_CASE(
    "massive rows are summed apart: exactly, whatever the instruction set, the threads, the blocks, the shards and the "
    "trip through an image") {
    const std::size_t n = 1100, d = 70;
    RowPair pair(n, d);
    const auto isMassive = [](std::size_t row) { return row % 90 == 3; };
    for (std::size_t row = 3; row < n; row += 90) {
        for (std::size_t j = 0; j < d; ++j) {
            if (row % 180 != 3) pair.x.at(row, j) *= 500;  // an odd one on the target's side alone
            if (row % 360 != 93) pair.y.at(row, j) *= 300;
        }
    }
    pair.x.at(93, 5) = -3e38f;  // past what one value may add
    const auto begun = [&] { return begin(pair, true, Resolution::fine); };
    CorrelationSums whole = begun();
    whole.add(pair.x.view(), pair.y.view(), 0, "x", "y");
    REQUIRE(whole.setAside() == 13);
    const auto bruteForce = [&](const Rows& rows, double limit) {
        const double step = std::exp2(std::floor(std::log2(limit)) - 20);
        std::vector<std::int64_t> sums(d, 0);
        for (std::size_t row = 0; row < n; ++row)
            for (std::size_t j = 0; j < d; ++j)
                if (isMassive(row))
                    sums[j] += std::llrint(
                        std::clamp(static_cast<double>(rows.at(row, j)) / step, -2147483647.0, 2147483647.0));
        return sums;
    };
    CHECK(whole.massiveX() == bruteForce(pair.x, whole.quantizerX().rowLimit));
    CHECK(whole.massiveY() == bruteForce(pair.y, whole.quantizerY().rowLimit));

    const auto wanted = whole.serialize();
    onEveryInstructionSet([&](std::string_view isa) {
        INFO(isa);
        for (const unsigned threads : {1u, 3u}) {
            CorrelationSums sums = begun();
            sums.add(pair.x.view(), pair.y.view(), 0, "x", "y", {}, threads);
            CHECK(sums.serialize() == wanted);
        }
        CorrelationSums sums = begun();
        for (std::size_t first = 0; first < n; first += 47) {
            const std::size_t count = std::min<std::size_t>(47, n - first);
            sums.add(pair.x.part(first, count), pair.y.part(first, count), first, "x", "y");
        }
        CHECK(sums.serialize() == wanted);
    });
    CorrelationSums early = begun(), late = begun();
    early.add(pair.x.part(0, 400), pair.y.part(0, 400), 0, "x", "y");
    late.add(pair.x.part(400, n - 400), pair.y.part(400, n - 400), 400, "x", "y");
    CorrelationSums merged = CorrelationSums::deserialize(late.serialize(), "image");
    merged.merge(early);
    CHECK(merged.serialize() == wanted);
    CHECK(CorrelationSums(merged).massiveX() == whole.massiveX());
    std::vector<std::vector<std::int64_t>> sent;  // by a second process, to the first
    late.reduce([&](std::span<std::int64_t> values) { sent.emplace_back(values.begin(), values.end()); });
    early.reduce([&, next = sent.begin()](std::span<std::int64_t> values) mutable {
        std::ranges::transform(values, *next++, values.begin(), std::plus{});
    });
    CHECK(early.serialize() == wanted);

    const CorrelationSums none = sum(RowPair(200, 5));
    CHECK(none.massiveX() == std::vector<std::int64_t>(5, 0));
    CHECK(none.massiveY() == std::vector<std::int64_t>(5, 0));
}

TEST_CASE("skipped rows count nowhere, and may hold anything") {
    const std::size_t d = 6;
    RowPair pair(40, d);
    const Quantizer x = fitQuantizer(pair.x.view(), "x"), y = fitQuantizer(pair.y.view(), "y");
    RowPair padded(50, d);
    std::vector<std::uint8_t> skip(50, 0);
    for (std::size_t row = 0, from = 0; row < 50; ++row) {
        skip[row] = row % 5 == 3 ? 1 : 0;
        for (std::size_t j = 0; j < d; ++j) {
            padded.x.at(row, j) = skip[row] != 0 ? std::numeric_limits<float>::quiet_NaN() : pair.x.at(from, j);
            padded.y.at(row, j) = skip[row] != 0 ? 1e30f : pair.y.at(from, j);
        }
        if (skip[row] == 0) ++from;
    }
    CorrelationSums found(x, y, true), wanted(x, y, true);
    found.add(padded.x.view(), padded.y.view(), 0, "x", "y", skip, 2);
    wanted.add(pair.x.view(), pair.y.view(), 0, "x", "y");
    std::vector<double> a(d * d), b(d * d);
    found.cross(a), wanted.cross(b);
    CHECK(a == b);
    found.gramY(a), wanted.gramY(b);
    CHECK(a == b);
}

TEST_CASE("every float dtype gives the sums of its own values") {
    RowPair pair(60, 35);
    for (float& value : pair.x.values) value = std::round(value * 16) / 16;  // exact in every dtype
    for (float& value : pair.y.values) value = std::round(value * 16) / 16;
    const auto wanted = sum(pair).serialize();
    for (const Dtype dtype : {Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64}) {
        INFO(name(dtype));
        CorrelationSums sums = begin(pair);
        sums.add(pair.x.as(dtype, 1), pair.y.as(Dtype::F64, 5), 0, "x", "y");
        CHECK(sums.serialize() == wanted);
    }
}

TEST_CASE("NaN and infinity are refused by file, row and column: the first row, whatever the threads") {
    RowPair pair(900, 33);
    CorrelationSums sums = begin(pair);
    pair.y.at(601, 7) = -std::numeric_limits<float>::infinity();
    pair.x.at(777, 2) = std::numeric_limits<float>::quiet_NaN();
    for (const unsigned threads : {1u, 4u}) {
        for (const Dtype dtype : {Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64}) {
            const Refusal refusal = requireRefusal(
                [&] { sums.add(pair.x.as(dtype), pair.y.as(dtype), 5000, "left.npy", "right.npy", {}, threads); });
            CHECK(refusal.code == ErrorCode::notFinite);
            CHECK(refusal.message.starts_with("right.npy: row 5601, column 7 (from 0) is infinity"));
        }
    }
    pair.y.at(601, 7) = 0;
    const Refusal refusal = requireRefusal([&] { sums.add(pair.x.view(), pair.y.view(), 0, "left.npy", "right.npy"); });
    CHECK(refusal.message.starts_with("left.npy: row 777, column 2 (from 0) is NaN"));
}

TEST_CASE("very large finite values are massive rows, not errors") {
    RowPair pair(100, 8);
    CorrelationSums sums = begin(pair);
    for (std::size_t j = 0; j < 8; ++j) pair.x.at(5, j) = 3e38f;
    sums.add(pair.x.view(), pair.y.view(), 0, "x", "y");
    CHECK(sums.setAside() == 1);
}

TEST_CASE("a constant channel correlates with nothing and is named") {
    RowPair pair(80, 10);
    for (std::size_t row = 0; row < 80; ++row) pair.x.at(row, 4) = 7;
    const CorrelationSums sums = sum(pair);
    std::vector<double> cross(100), gram(100);
    sums.cross(cross);
    sums.gramX(gram);
    for (std::size_t i = 0; i < 10; ++i) {
        CHECK(cross[i * 10 + 4] == 0);
        CHECK(gram[i * 10 + 4] == (i == 4 ? 1 : 0));
        CHECK(sums.constantX()[i] == (i == 4 ? 1 : 0));
        CHECK(sums.constantY()[i] == 0);
    }
}

TEST_CASE("sums of no rows answer with zeros") {
    const RowPair pair(20, 3);
    const CorrelationSums sums = begin(pair);
    std::vector<double> cross(9, 5.0);
    sums.cross(cross);
    CHECK(cross == std::vector<double>(9, 0.0));
    CHECK(sums.constantX() == std::vector<std::uint8_t>(3, 1));
}

TEST_CASE("rows that do not fit are refused") {
    const RowPair pair(20, 3), other(20, 4), longer(21, 3);
    CorrelationSums sums = begin(pair);
    CHECK(codeOf([&] { sums.add(other.x.view(), pair.y.view(), 0, "x", "y"); }) == ErrorCode::shapeMismatch);
    CHECK(codeOf([&] { sums.add(pair.x.view(), longer.y.view(), 0, "x", "y"); }) == ErrorCode::shapeMismatch);
    const std::vector<std::uint8_t> tooShort(19, 0);
    CHECK(codeOf([&] { sums.add(pair.x.view(), pair.y.view(), 0, "x", "y", tooShort); }) == ErrorCode::shapeMismatch);
    std::vector<double> room(8);
    CHECK(codeOf([&] { sums.cross(room); }) == ErrorCode::shapeMismatch);
    CHECK(codeOf([&] { begin(pair, false).gramX(room); }) == ErrorCode::usage);
    CHECK(codeOf([&] {
              CorrelationSums(fitQuantizer(pair.x.view(), "x"), fitQuantizer(other.y.view(), "y"), false);
          }) == ErrorCode::shapeMismatch);
    Quantizer odd = sums.quantizerX();
    odd.step[1] = 0.3f;
    CHECK(codeOf([&] { CorrelationSums(odd, odd, false); }) == ErrorCode::usage);
}

TEST_CASE("sums begun with different quantizers do not merge") {
    const RowPair a(50, 5, 1), b(50, 5, 2);
    CorrelationSums sums = sum(a);
    CHECK(codeOf([&] { sums.merge(sum(b)); }) == ErrorCode::shapeMismatch);
    CHECK(codeOf([&] { sums.merge(sum(a, false)); }) == ErrorCode::shapeMismatch);
}

TEST_CASE("an image of sums comes back whole") {
    for (const bool withGram : {false, true}) {
        const RowPair pair(120, 34);
        const CorrelationSums sums = sum(pair, withGram);
        const auto image = sums.serialize();
        CorrelationSums back = CorrelationSums::deserialize(image, "image");
        CHECK(back.serialize() == image);
        CHECK(back.rows() == 120);
        CHECK(back.withGram() == withGram);
        CHECK(back.quantizerY().centre == sums.quantizerY().centre);
        CorrelationSums twice = sums;
        twice.merge(sums);
        back.add(pair.x.view(), pair.y.view(), 0, "x", "y");  // and can be added to
        CHECK(back.serialize() == twice.serialize());
    }
}

TEST_CASE("a damaged image of sums is refused, wherever the damage is") {
    const auto image = sum(RowPair(30, 3)).serialize();
    const auto refused = [](const std::vector<std::byte>& bytes) {
        const auto code = codeOf([&] { CorrelationSums::deserialize(bytes, "image"); });
        return code == ErrorCode::malformed || code == ErrorCode::truncated || code == ErrorCode::unsupported;
    };
    for (std::size_t i = 0; i < image.size(); ++i) {
        auto flipped = image;
        flipped[i] ^= std::byte{0x10};
        if (!refused(flipped)) FAIL_CHECK("byte " << i << " flipped");
        if (!refused({image.begin(), image.begin() + static_cast<std::ptrdiff_t>(i)}))
            FAIL_CHECK("cut to " << i << " bytes");
    }
    auto longer = image;
    longer.push_back(std::byte{0});
    CHECK(refused(longer));
}

TEST_CASE("an image with a right checksum and impossible contents is refused") {
    const auto image = sum(RowPair(30, 3)).serialize();
    const auto codeWith = [&](std::size_t at, std::initializer_list<int> bytes) {
        auto forged = image;
        for (const int byte : bytes) forged[at++] = static_cast<std::byte>(byte);
        signAgain(forged);
        return codeOf([&] { CorrelationSums::deserialize(forged, "image"); });
    };
    CHECK(codeWith(12, {1}) == ErrorCode::unsupported);                     // version
    CHECK(codeWith(16, {0xff, 0xff, 0xff, 0xff}) == ErrorCode::malformed);  // d
    CHECK(codeWith(16, {0xff, 0xff, 0, 0}) == ErrorCode::truncated);        // d, plausible but not here
    CHECK(codeWith(20, {2}) == ErrorCode::malformed);                       // withGram
    CHECK(codeWith(21, {1}) == ErrorCode::malformed);                       // wide without the rows for it
    CHECK(codeWith(22, {128}) == ErrorCode::malformed);                     // limit
    CHECK(codeWith(24, {0}) == ErrorCode::malformed);                       // no rows cannot give these sums
    CHECK(codeWith(24 + 7, {0xff}) == ErrorCode::malformed);                // rows
    CHECK(codeWith(48 + 6, {0xf0, 0xff}) == ErrorCode::malformed);          // the limit of row norms: -infinity
    CHECK(codeWith(56 + 2, {0x80, 0x7f}) == ErrorCode::malformed);          // a centre: infinity
    CHECK(codeWith(56 + 12, {1, 0, 0, 0}) == ErrorCode::malformed);         // a step: subnormal
    CHECK(codeWith(56 + 24 + 2 * 48, {1}) == ErrorCode::malformed);  // a sum over massive rows, of which there are none
}

TEST_CASE("sums have the same bytes on every target") {
    const auto image = sum(RowPair(333, 50)).serialize();
    Sha256 hash;
    hash.update(image);
    CHECK(hash.hex() == "06f2632a4dc9aac5c047ce0a5333a670e89b08314871fbc2fb21f4a1d94917b3");
}

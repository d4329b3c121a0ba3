#include "kernels/row_scan.hpp"

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <limits>
#include <vector>

#include "assignment_matrices.hpp"
#include "kernels/isa.hpp"

namespace {

using regauge::testing::Random;
namespace kernels = regauge::kernels;

constexpr std::size_t lengths[] = {0, 1, 2, 3, 7, 15, 16, 17, 31, 63, 64, 65, 100, 127, 128, 129, 190, 255, 449, 1000};

// Scores and prices of few values, so that ties are common, at every misalignment of a 64-byte line by whole elements.
template <class Price>
void comparePriced(kernels::Isa isa, std::size_t n, std::size_t offset, Random& random) {
    const auto& reference = kernels::rowScan(kernels::Isa::scalar).priced<Price>();
    const auto& scan = kernels::rowScan(isa).priced<Price>();
    const Price unit = sizeof(Price) == 8 ? Price{1} << (sizeof(Price) * 5) : Price{1} << 20;
    std::vector<std::int32_t> scores(n + offset);
    std::vector<Price> prices(n + offset);
    for (auto& s : scores) s = static_cast<std::int32_t>(random.between(-9, 9)) << 20;
    for (auto& p : prices) p = static_cast<Price>(random.between(0, 9)) * unit;
    const std::int32_t* score = scores.data() + offset;
    const Price* price = prices.data() + offset;

    Price expected[kernels::scanStripes];
    Price found[kernels::scanStripes];
    reference.stripeMaxima(score, price, n, expected);
    scan.stripeMaxima(score, price, n, found);
    for (std::size_t k = 0; k < kernels::scanStripes; ++k) REQUIRE(found[k] == expected[k]);

    for (const std::size_t capacity : {std::size_t{0}, std::size_t{5}, n}) {
        const Price threshold = static_cast<Price>(random.between(-9, 9)) * unit;
        std::vector<std::uint32_t> a(n + 1, 77);
        std::vector<std::uint32_t> b(n + 1, 77);
        REQUIRE(scan.collect(score, price, n, threshold, b.data(), std::min(capacity, n)) ==
                reference.collect(score, price, n, threshold, a.data(), std::min(capacity, n)));
        REQUIRE(a == b);
    }

    std::vector<Price> distances(n + offset);
    for (auto& d : distances)
        d = random.between(0, 2) == 0 ? std::numeric_limits<Price>::max()
                                      : static_cast<Price>(random.between(0, 20)) * unit;
    for (const Price limit : {std::numeric_limits<Price>::max(), static_cast<Price>(9 * unit)}) {
        std::vector<Price> a = distances;
        std::vector<Price> b = distances;
        std::vector<std::uint32_t> reachedA(n + 1, 77);
        std::vector<std::uint32_t> reachedB(n + 1, 77);
        REQUIRE(scan.relax(score, price, n, 10 * unit, limit, b.data() + offset, reachedB.data()) ==
                reference.relax(score, price, n, 10 * unit, limit, a.data() + offset, reachedA.data()));
        REQUIRE(a == b);
        REQUIRE(reachedA == reachedB);
    }
}

}  // namespace

TEST_CASE("row scans agree with their reference at awkward lengths and alignments", "[kernels][isa]") {
    Random random(5);
    for (const kernels::Isa isa : kernels::availableIsas()) {
        for (const std::size_t n : lengths) {
            for (std::size_t offset = 0; offset < 4; ++offset) {
                CAPTURE(kernels::name(isa), n, offset);
                comparePriced<std::int32_t>(isa, n, offset, random);
                comparePriced<std::int64_t>(isa, n, offset, random);
            }
        }
    }
}

TEST_CASE("extremes, the first of the largest, sums and dot products of a row agree with their reference to the bit",
          "[kernels][isa]") {
    Random random(6);
    const kernels::RowScan& reference = kernels::rowScan(kernels::Isa::scalar);
    for (const kernels::Isa isa : kernels::availableIsas()) {
        const kernels::RowScan& scan = kernels::rowScan(isa);
        for (const std::size_t n : lengths) {
            for (std::size_t offset = 0; offset < 4; ++offset) {
                CAPTURE(kernels::name(isa), n, offset);
                std::vector<std::int32_t> scores(n + offset);
                std::vector<double> weights(n + offset);
                for (auto& s : scores) s = static_cast<std::int32_t>(random.between(-40, 40)) * 25'000'000;
                for (auto& w : weights) w = static_cast<double>(random.between(-1'000'000'000, 1'000'000'000)) / 7.0;
                const std::int32_t* score = scores.data() + offset;

                std::int32_t largest[2];
                std::int32_t smallest[2];
                reference.extremes(score, n, &largest[0], &smallest[0]);
                scan.extremes(score, n, &largest[1], &smallest[1]);
                REQUIRE(largest[1] == largest[0]);
                REQUIRE(smallest[1] == smallest[0]);
                for (const std::int32_t threshold :
                     {largest[0], std::int32_t{0}, std::numeric_limits<std::int32_t>::max()}) {
                    REQUIRE(scan.findFirst(score, n, threshold) == reference.findFirst(score, n, threshold));
                }
                std::vector<std::int64_t> a(n, std::int64_t{1} << 40);
                std::vector<std::int64_t> b = a;
                reference.addRow(score, n, a.data());
                scan.addRow(score, n, b.data());
                REQUIRE(a == b);
                REQUIRE(scan.dotRow(score, weights.data() + offset, n) ==
                        reference.dotRow(score, weights.data() + offset, n));
            }
        }
    }
}

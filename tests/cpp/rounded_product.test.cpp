// Products in bytes beside the same sums in doubles, within what rounding may change.
#include "numeric/rounded_product.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cmath>
#include <vector>

#include "rows_fixture.hpp"

using namespace regauge;

namespace {

struct Factors {
    std::size_t d;
    std::vector<float> a;
    Symmetric b;
};

// One column of a is a thousand times the others and one is zero; the diagonal of b stands far above the rest.
Factors factors(std::size_t d) {
    testing::Numbers numbers(d);
    Factors result{d, std::vector<float>(d * d), Symmetric(d)};
    for (std::size_t k = 0; k < d; ++k)
        for (std::size_t j = 0; j < d; ++j) result.a[k * d + j] = j == 1 ? 0 : numbers.normal() * (j == 0 ? 1000 : 1);
    for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j <= i; ++j)
            result.b.lower(i)[j] = i == j ? 100 + numbers.normal() : numbers.normal() / 64;
    return result;
}

float entry(const Symmetric& b, std::size_t i, std::size_t j) { return b.lower(std::max(i, j))[std::min(i, j)]; }

std::vector<float> product(const Factors& factors, unsigned threads = 1) {
    std::vector<float> out(factors.d * factors.d);
    RoundedSymmetric(factors.b, threads).transposeTimes(factors.a, threads, out);
    return out;
}

}  // namespace

TEST_CASE("products in bytes are within their rounding of the same sums in doubles") {
    const std::size_t d = GENERATE(1U, 2U, 31U, 70U, 520U);  // 520: more rows than one block of sums
    const Factors given = factors(d);
    const std::vector<float> found = product(given);
    std::vector<double> largestA(d, 0), largestB(d, 0);
    for (std::size_t k = 0; k < d; ++k)
        for (std::size_t j = 0; j < d; ++j) {
            largestA[j] = std::max(largestA[j], std::fabs(static_cast<double>(given.a[k * d + j])));
            if (j != k) largestB[j] = std::max(largestB[j], std::fabs(static_cast<double>(entry(given.b, k, j))));
        }
    constexpr double stepsA = 127, stepsB = 63;
    double worst = 0;  // of what is allowed
    for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < d; ++j) {
            const double halfStepA = largestA[i] / stepsA / 2, halfStepB = largestB[j] / stepsB / 2;
            double exact = 0, allowed = 1e-12;
            for (std::size_t k = 0; k < d; ++k) {
                const double a = given.a[k * d + i], b = entry(given.b, k, j);
                exact += a * b;
                allowed += k == j ? 1e-6 * std::fabs(a * b)
                                  : std::fabs(a) * halfStepB + std::fabs(b) * halfStepA + halfStepA * halfStepB;
            }
            worst = std::max(worst, std::fabs(static_cast<double>(found[i * d + j]) - exact) / (1.001 * allowed));
        }
    CHECK(worst <= 1);
    if (d > 2) CHECK(worst > 0);  // it is rounded
}

TEST_CASE("products in bytes are the same on every instruction set and with any threads") {
    const Factors given = factors(150);
    const std::vector<float> expected = product(given);
    CHECK(product(given, 3) == expected);
    testing::onEveryInstructionSet([&](std::string_view isa) {
        INFO(isa);
        CHECK(product(given) == expected);
    });
}

TEST_CASE("products in bytes commute with signed permutations, to the bit") {
    const Factors given = factors(70);
    const std::size_t d = given.d;
    Factors moved{d, std::vector<float>(d * d), Symmetric(d)};
    const auto from = [d](std::size_t i) { return (i * 9 + 4) % d; };
    const auto sign = [](std::size_t i) { return i % 3 == 0 ? -1.0F : 1.0F; };
    for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < d; ++j) {
            moved.a[i * d + j] = sign(i) * given.a[from(i) * d + j];  // what is summed over moves
            if (j <= i) moved.b.lower(i)[j] = sign(i) * sign(j) * entry(given.b, from(i), from(j));
        }
    const std::vector<float> here = product(given), there = product(moved);
    bool same = true;
    for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < d; ++j) same = same && there[i * d + j] == sign(j) * here[i * d + from(j)];
    CHECK(same);
}

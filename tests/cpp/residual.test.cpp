// What a gauge leaves unexplained: closed forms, and the order of right and wrong answers.
#include "numeric/residual.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <cmath>
#include <vector>

using namespace regauge;
using Catch::Matchers::WithinAbs;

namespace {

Symmetric identityMatrix(std::size_t d) {
    Symmetric m(d);
    for (std::size_t i = 0; i < d; ++i) m.lower(i)[i] = 1;
    return m;
}

}  // namespace

TEST_CASE("independent channels are explained by what they correlate with, and nothing else") {
    const std::size_t d = 3;
    const Symmetric gram = identityMatrix(d);
    // Target 0 is source 2 negated, target 1 is source 0, target 2 is source 1, each with |r| = 0.8.
    const std::vector<float> cross{0, 0, -0.8F, 0.8F, 0, 0, 0, 0.8F, 0};
    const Gauge right({2, 0, 1}, {-1, 1, 1}), wrongPlace({0, 2, 1}, {1, 1, 1});
    CHECK_THAT(unexplained(cross, gram, gram, &right, 1), WithinAbs(std::log2(1 - 0.64 + 1e-4), 1e-6));
    CHECK_THAT(unexplained(cross, gram, gram, nullptr, 1), WithinAbs(std::log2(1 + 1e-4), 1e-12));
    CHECK_THAT(unexplained(cross, gram, gram, &wrongPlace, 1),
               WithinAbs((2 * std::log2(1 + 1e-4) + std::log2(1 - 0.64 + 1e-4)) / 3, 1e-6));
}

TEST_CASE("correlated channels: the rest of the target is the rest of its covariance") {
    // y = x + e with Var x = [[1, .5], [.5, 1]] and Var e = I, as correlations: Gy = [[1, .25], [.25, 1]], C = Gx /
    // sqrt(2).
    // With slopes 1 / sqrt(2) the rest is Gy - Gx / 2 = I / 2.
    Symmetric gramX = identityMatrix(2), gramY = identityMatrix(2);
    gramX.lower(1)[0] = 0.5F, gramY.lower(1)[0] = 0.25F;
    const auto r = static_cast<float>(std::sqrt(0.5));
    const std::vector<float> cross{r, r / 2, r / 2, r};
    const Gauge same = Gauge::identity(2);
    CHECK_THAT(unexplained(cross, gramX, gramY, &same, 1), WithinAbs(std::log2(0.5 + 1e-4), 1e-6));
}

TEST_CASE("a perfect copy leaves no more than the ridge, and stays finite") {
    const Symmetric gram = identityMatrix(2);
    const std::vector<float> cross{1, 0, 0, 1};
    const Gauge same = Gauge::identity(2);
    const double rest = unexplained(cross, gram, gram, &same, 1);
    CHECK(std::isfinite(rest));
    CHECK(rest < -8);
}

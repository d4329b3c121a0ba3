#include "match/posterior.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

#include "match/confidence.hpp"
#include "rows_fixture.hpp"

using namespace regauge;
using regauge::testing::Numbers;

namespace {

// Scores of normal noise, with matches of four spreads on the diagonal.
ScoreMatrix noisyScores(std::size_t d, float sign) {
    Numbers numbers(11);
    ScoreMatrix scores;
    scores.d = d;
    scores.value.resize(d * d);
    for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < d; ++j)
            scores.value[i * d + j] = sign * (static_cast<float>(numbers.normal()) + (i == j ? 6.0F : 0.0F));
    return scores;
}

std::vector<double> ofOneSign(std::size_t d, std::int8_t sign) {
    const Gauge gauge(Gauge::identity(d).perm(), std::vector<std::int8_t>(d, sign));
    return posterior(noisyScores(d, sign), gauge, Group::layernorm, 1);
}

}  // namespace

TEST_CASE("a copy with the one sign that LayerNorm leaves free is believed as much as the model itself") {
    constexpr std::size_t d = 96;
    const std::vector<double> plain = ofOneSign(d, 1), negated = ofOneSign(d, -1);
    CHECK(negated == plain);
    CHECK(std::ranges::count_if(plain, [](double one) { return one > 0.9; }) > 80);
}

TEST_CASE("few rows ask for a higher estimate of few channels, and of many they do not") {
    constexpr double estimate = 0.55;  // between the two limits
    CHECK(verdictOf(estimate, 64, 64) == Verdict::unrelated);
    CHECK(verdictOf(estimate, 64, 1024) == Verdict::partial);
    CHECK(verdictOf(estimate, 576, 64) == Verdict::partial);
    CHECK(verdictOf(0.45, 576, 64) == Verdict::unrelated);
}

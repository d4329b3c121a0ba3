#include "match/posterior.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

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

// Fitting a quantizer: what it covers, what it sets aside, and that it commutes with every gauge.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "correlation/float_rows.hpp"
#include "refusal.hpp"
#include "regauge/correlation.hpp"
#include "regauge/error.hpp"
#include "rows_fixture.hpp"

using namespace regauge;
using regauge::testing::Numbers;
using regauge::testing::RowPair;
using regauge::testing::Rows;
using test::codeOf;
using test::Refusal;
using test::requireRefusal;

namespace {

std::vector<std::size_t> shuffled(std::size_t d, Numbers& numbers) {
    std::vector<std::size_t> order(d);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = d; i > 1; --i) std::swap(order[i - 1], order[numbers.below(i)]);
    return order;
}

double deviation(const Rows& rows, std::size_t column) {
    double mean = 0, square = 0;
    for (std::size_t row = 0; row < rows.rows; ++row)
        mean += static_cast<double>(rows.at(row, column)) / static_cast<double>(rows.rows);
    for (std::size_t row = 0; row < rows.rows; ++row) {
        const double distance = static_cast<double>(rows.at(row, column)) - mean;
        square += distance * distance;
    }
    return std::sqrt(square / static_cast<double>(rows.rows));
}

}  // namespace

TEST_CASE("63 or 511 steps, a power of two each, cover 4 to 8 standard deviations around the mean") {
    const RowPair pair(500, 40);
    const Resolution resolution = GENERATE(Resolution::coarse, Resolution::fine);
    const Quantizer fit = fitQuantizer(pair.x.view(), "x", resolution);
    CHECK(fit.limit == (resolution == Resolution::coarse ? 63 : 511));
    REQUIRE(fit.d() == 40);
    for (std::size_t j = 0; j < 40; ++j) {
        int exponent = 0;
        CHECK(std::frexp(fit.step[j], &exponent) == 0.5f);
        const double covered = fit.limit * static_cast<double>(fit.step[j]) / deviation(pair.x, j);
        CHECK(covered >= 4);
        CHECK(covered < 8.001);
    }
}

TEST_CASE("a fit commutes with signed permutations to the bit") {
    const std::size_t d = 50;
    Numbers numbers(5);
    Rows rows = RowPair(300, d).x;
    for (std::size_t j = 0; j < d; ++j) rows.at(17, j) *= 200;  // a massive row
    const auto order = shuffled(d, numbers);
    std::vector<float> sign(d);
    for (float& s : sign) s = numbers.below(2) == 0 ? 1.0f : -1.0f;
    Rows moved(rows.rows, d);
    for (std::size_t row = 0; row < rows.rows; ++row) {
        for (std::size_t j = 0; j < d; ++j) moved.at(row, j) = sign[j] * rows.at(row, order[j]);
    }
    const Quantizer fit = fitQuantizer(rows.view(), "x");
    const Quantizer movedFit = fitQuantizer(moved.view(), "x");
    CHECK(movedFit.rowLimit == fit.rowLimit);
    for (std::size_t j = 0; j < d; ++j) {
        CHECK(movedFit.centre[j] == sign[j] * fit.centre[order[j]]);
        CHECK(movedFit.step[j] == fit.step[order[j]]);
    }
}

TEST_CASE("a fit does not depend on the instruction set") {
    const RowPair pair(100, 33);
    const Quantizer wanted = fitQuantizer(pair.x.view(), "x");
    testing::onEveryInstructionSet([&](std::string_view) {
        const Quantizer found = fitQuantizer(pair.x.view(), "x");
        CHECK(found.centre == wanted.centre);
        CHECK(found.step == wanted.step);
        CHECK(found.rowLimit == wanted.rowLimit);
    });
}

TEST_CASE("a row's norm does not depend on the order or the signs of its channels") {
    Numbers numbers(8);
    std::vector<float> row(1000);
    for (float& x : row) x = numbers.normal() * std::ldexp(1.0f, numbers.between(-12, 12));
    const double norm = rowNorm(row);
    double wanted = 0;
    for (const float x : row) wanted += static_cast<double>(x) * static_cast<double>(x);
    CHECK(std::fabs(norm / std::sqrt(wanted) - 1) < 1e-4);
    for (int round = 0; round < 10; ++round) {
        const auto order = shuffled(row.size(), numbers);
        std::vector<float> moved(row.size());
        for (std::size_t j = 0; j < row.size(); ++j) moved[j] = (numbers.below(2) == 0 ? 1.0f : -1.0f) * row[order[j]];
        CHECK(rowNorm(moved) == norm);
    }
    CHECK(rowNorm(std::vector<float>(5, 0.0f)) == 0);
    constexpr float most = std::numeric_limits<float>::max();
    CHECK(std::fabs(rowNorm(std::vector<float>{most, 0}) / static_cast<double>(most) - 1) < 1e-6);
    CHECK(rowNorm(std::vector<float>{std::numeric_limits<float>::denorm_min()}) >= 0);
}

TEST_CASE("rows 200 times larger than the rest are beyond the limit, and do not move the fit") {
    Rows rows = RowPair(512, 64).y;
    const Quantizer without = fitQuantizer(rows.view(), "y");
    Rows with = rows;
    for (std::size_t row = 0; row < with.rows; row += 16) {  // BOS in every sequence of 16
        for (std::size_t j = 0; j < with.d; ++j) with.at(row, j) = 200 * (j % 5 == 0 ? 3.0f : -1.0f);
    }
    const Quantizer fit = fitQuantizer(with.view(), "y");
    std::vector<float> row(with.d);
    for (std::size_t i = 0; i < with.rows; ++i) {
        loadRow(with.view(), i, row);
        CHECK((rowNorm(row) > fit.rowLimit) == (i % 16 == 0));
    }
    for (std::size_t j = 0; j < with.d; ++j) {
        CHECK(fit.step[j] == without.step[j]);
        CHECK(std::fabs(fit.centre[j] - without.centre[j]) < 0.1f);
    }
}

TEST_CASE(
    "rows that stand 7 times above the rest, or 160 times and are half of all, are beyond the limit where they point "
    "one way") {
    const std::size_t d = 40;
    const auto [every, times] = GENERATE(std::pair{std::size_t{128}, 7.0F}, std::pair{std::size_t{4}, 160.0F},
                                         std::pair{std::size_t{2}, 160.0F});
    Rows rows = RowPair(512, d).x;
    std::vector<float> values(d), norms;
    for (std::size_t row = 0; row < rows.rows; ++row) {
        for (std::size_t j = 0; j < d; ++j) values[j] = rows.at(row, j);
        norms.push_back(static_cast<float>(rowNorm(values)));
    }
    std::ranges::nth_element(norms, norms.begin() + 256);
    for (std::size_t row = 0; row < rows.rows; row += every) {
        for (std::size_t j = 0; j < d; ++j) rows.at(row, j) *= 0.5F;
        rows.at(row, 11) = times * norms[256];
    }
    const double limit = fitQuantizer(rows.view(), "x", Resolution::fine).rowLimit;
    for (std::size_t row = 0; row < rows.rows; ++row) {
        for (std::size_t j = 0; j < d; ++j) values[j] = rows.at(row, j);
        CHECK((rowNorm(values) > limit) == (row % every == 0));
    }
}

TEST_CASE("a table of which six in ten rows are unused and small, but not constant, keeps its used rows") {
    Rows rows = RowPair(500, 40).x;
    for (std::size_t row = 0; row < rows.rows; ++row)
        if (row % 5 < 3)
            for (std::size_t j = 0; j < 40; ++j) rows.at(row, j) *= 0.1F;
    std::vector<float> values(40);
    const double limit = fitQuantizer(rows.view(), "x", Resolution::fine).rowLimit;
    for (std::size_t row = 0; row < rows.rows; ++row) {
        for (std::size_t j = 0; j < 40; ++j) values[j] = rows.at(row, j);
        CHECK(rowNorm(values) <= limit);
    }
}

TEST_CASE("a table whose rows are mostly unused and nearly constant keeps its used rows, and scales by them") {
    Rows rows(1000, 32);
    Numbers numbers(4);
    for (std::size_t row = 0; row < rows.rows; ++row) {
        const bool used = row % 10 < 4;
        for (std::size_t j = 0; j < rows.d; ++j)
            rows.at(row, j) = used ? numbers.normal() : 0.01f + 1e-4f * numbers.normal();
    }
    const Quantizer fit = fitQuantizer(rows.view(), "embedding");
    std::vector<float> row(rows.d);
    for (std::size_t i = 0; i < rows.rows; ++i) {
        loadRow(rows.view(), i, row);
        CHECK(rowNorm(row) <= fit.rowLimit);
    }
    for (std::size_t j = 0; j < rows.d; ++j)
        CHECK(static_cast<float>(fit.limit) * fit.step[j] >=
              2);  // used rows have standard deviation 1: never clamped at a few of the others'
}

TEST_CASE("heavy tails (Student t with 3 degrees of freedom) are kept") {
    Rows rows(2000, 64);
    Numbers numbers(6);
    for (float& x : rows.values) {
        const float a = numbers.normal(), b = numbers.normal(), c = numbers.normal();
        x = numbers.normal() / std::sqrt((a * a + b * b + c * c) / 3 + 1e-6f);
    }
    const Quantizer fit = fitQuantizer(rows.view(), "x");
    std::vector<float> row(rows.d);
    std::size_t beyond = 0;
    for (std::size_t i = 0; i < rows.rows; ++i) {
        loadRow(rows.view(), i, row);
        if (rowNorm(row) > fit.rowLimit) ++beyond;
    }
    CHECK(beyond <= 4);
}

TEST_CASE("a channel that never changes has step 0, whatever its value") {
    Rows rows = RowPair(50, 4).x;
    for (std::size_t row = 0; row < rows.rows; ++row) {
        rows.at(row, 1) = 0.1f;
        rows.at(row, 2) = 0;
    }
    const Quantizer fit = fitQuantizer(rows.view(), "x");
    CHECK(fit.step[0] > 0);
    CHECK(fit.step[1] == 0);
    CHECK(fit.step[2] == 0);
    const Quantizer ofNone = fitQuantizer({nullptr, Dtype::F32, 0, 3}, "x");
    CHECK(ofNone.step == std::vector<float>(3, 0.0f));
}

TEST_CASE("a fit is the same from F32 and from F64") {
    Rows rows = RowPair(64, 9).x;
    const Quantizer narrow = fitQuantizer(rows.as(Dtype::F32, 1), "x");
    const Quantizer wide = fitQuantizer(rows.as(Dtype::F64, 3), "x");
    CHECK(narrow.centre == wide.centre);
    CHECK(narrow.step == wide.step);
}

TEST_CASE("a fit refuses NaN, naming the row and the column, and rows that are not floats") {
    Rows rows = RowPair(30, 7).x;
    rows.at(21, 5) = std::numeric_limits<float>::quiet_NaN();
    const Refusal refusal = requireRefusal([&] { fitQuantizer(rows.view(), "a.safetensors: activations/resid.3"); });
    CHECK(refusal.code == ErrorCode::notFinite);
    CHECK(refusal.where == "a.safetensors: activations/resid.3");
    CHECK(refusal.message.find("row 21, column 5") != std::string::npos);
    const RowsView integers{rows.view().data, Dtype::I32, 30, 7};
    CHECK(codeOf([&] { fitQuantizer(integers, "x"); }) == ErrorCode::wrongDtype);
}

#include "regauge/assignment.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "assignment_matrices.hpp"
#include "kernels/isa.hpp"
#include "kernels/row_scan.hpp"
#include "refusal.hpp"
#include "regauge/error.hpp"

namespace {

using regauge::assign;
using regauge::Assignment;
using regauge::ErrorCode;
using regauge::isOptimal;
using regauge::test::codeOf;
using regauge::test::requireRefusal;
using regauge::testing::makeMatrix;
using regauge::testing::matrixNames;
using regauge::testing::Random;
namespace kernels = regauge::kernels;

std::int64_t bestByTryingAll(const std::vector<std::int32_t>& score, std::size_t n) {
    std::vector<std::size_t> p(n);
    std::iota(p.begin(), p.end(), std::size_t{0});
    std::int64_t best = std::numeric_limits<std::int64_t>::min();
    do {
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < n; ++i) sum += score[i * n + p[i]];
        best = std::max(best, sum);
    } while (std::next_permutation(p.begin(), p.end()));
    return best;
}

std::vector<std::int32_t> randomScores(Random& random, std::size_t n, std::int64_t low, std::int64_t high) {
    std::vector<std::int32_t> score(n * n);
    for (std::int32_t& s : score) s = static_cast<std::int32_t>(random.between(low, high));
    return score;
}

// Uses an instruction set for as long as it lives.
struct Forced {
    explicit Forced(kernels::Isa isa) { kernels::forceIsa(isa); }
    Forced(const Forced&) = delete;
    Forced& operator=(const Forced&) = delete;
    ~Forced() { kernels::unforceIsa(); }
};

bool same(const Assignment& a, const Assignment& b) {
    return a.column == b.column && a.rowPrice == b.rowPrice && a.columnPrice == b.columnPrice && a.total == b.total;
}

}  // namespace

TEST_CASE("assign finds the maximum that trying all permutations finds, ties and negative scores included",
          "[assignment]") {
    Random random(1);
    const std::int64_t ranges[][2] = {{0, 1}, {-3, 3}, {-1000, 1000}, {-regauge::maxScore, regauge::maxScore}};
    for (std::size_t n = 1; n <= 7; ++n) {
        for (const auto& range : ranges) {
            for (int trial = 0; trial < (n < 6 ? 200 : 20); ++trial) {
                const auto score = randomScores(random, n, range[0], range[1]);
                const Assignment a = assign(score, n);
                REQUIRE(isOptimal(score, n, a));
                REQUIRE(a.total == bestByTryingAll(score, n));
            }
        }
    }
}

TEST_CASE("the assignment of nothing is empty", "[assignment]") {
    const Assignment a = assign({}, 0);
    CHECK(a.column.empty());
    CHECK(a.total == 0);
    CHECK(isOptimal({}, 0, a));
}

TEST_CASE("every permanent test matrix is solved with a certificate", "[assignment]") {
    for (const std::string_view name : matrixNames) {
        for (const std::size_t n : {33u, 64u, 150u, 450u, 700u}) {
            for (const std::int64_t scale : {std::int64_t{1} << 24, std::int64_t{1} << 12}) {
                CAPTURE(name, n, scale);
                const auto score = makeMatrix(name, n, scale);
                REQUIRE(isOptimal(score, n, assign(score, n)));
            }
        }
    }
}

TEST_CASE("scores of either sign, any offset and every size up to the limit are solved with a certificate",
          "[assignment]") {
    Random random(2);
    for (const std::size_t n : {40u, 129u, 300u}) {
        for (const std::int64_t high : {std::int64_t{1}, std::int64_t{50}, std::int64_t{1} << 27, std::int64_t{1} << 28,
                                        std::int64_t{regauge::maxScore}}) {
            CAPTURE(n, high);
            const auto score = randomScores(random, n, -high, high);
            REQUIRE(isOptimal(score, n, assign(score, n)));
            const auto positive = randomScores(random, n, high / 2, high);
            REQUIRE(isOptimal(positive, n, assign(positive, n)));
        }
    }
    for (const std::string_view name :
         {"machol-wien", "rank-one", "bos", "low-rank"}) {  // 64-bit prices, and rows that shun what others want
        CAPTURE(name);
        const std::size_t n = 300;
        auto score = makeMatrix(name, n, 1 << 29);
        REQUIRE(isOptimal(score, n, assign(score, n)));
        for (std::int32_t& s : score) s = -s;
        REQUIRE(isOptimal(score, n, assign(score, n)));
    }
}

TEST_CASE("planted pairs that stand out are found, and nothing is paid for them", "[assignment]") {
    const std::size_t n = 257;
    Random random(3);
    const auto partner = random.permutation(n);
    std::vector<std::int32_t> score(n * n);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j)
            score[i * n + j] =
                static_cast<std::int32_t>(partner[i] == j ? 1000 + random.between(0, 50) : random.between(0, 900));
    }
    const Assignment a = assign(score, n);
    for (std::size_t i = 0; i < n; ++i) CHECK(a.column[i] == partner[i]);
    CHECK(std::all_of(a.columnPrice.begin(), a.columnPrice.end(), [](std::int64_t p) { return p == 0; }));
}

TEST_CASE("every instruction set gives the assignment and the prices of the scalar reference", "[assignment][isa]") {
    for (const std::string_view name : matrixNames) {
        for (const std::size_t n : {61u, 333u}) {
            for (const std::int64_t scale : {std::int64_t{1} << 24, std::int64_t{1} << 29}) {
                const auto score = makeMatrix(name, n, scale);
                Assignment reference;
                {
                    const Forced scalar(kernels::Isa::scalar);
                    reference = assign(score, n);
                }
                for (const kernels::Isa isa : kernels::availableIsas()) {
                    CAPTURE(name, n, scale, kernels::name(isa));
                    const Forced forced(isa);
                    REQUIRE(same(assign(score, n), reference));
                }
            }
        }
    }
}

// Native and WebAssembly builds run this file, each with its own instruction sets, compiler and standard library. A
// change of the algorithm may choose another of several optimal assignments and so change the number; a change between
// builds is a defect.
TEST_CASE("every build gives the same assignments and prices", "[assignment]") {
    std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a over all columns and prices
    const auto add = [&hash](auto value) { hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x100000001b3u; };
    for (const std::string_view name : matrixNames) {
        const Assignment a = assign(makeMatrix(name, 333), 333);
        for (const std::uint32_t j : a.column) add(j);
        for (const std::int64_t p : a.rowPrice) add(p);
        for (const std::int64_t p : a.columnPrice) add(p);
    }
    CHECK(hash == 0xca44c7b4996bcbbeu);
}

TEST_CASE("isOptimal refuses wrong columns, prices and totals", "[assignment]") {
    Random random(4);
    const std::size_t n = 20;
    const auto score = randomScores(random, n, 0, 1000);
    const Assignment right = assign(score, n);
    REQUIRE(isOptimal(score, n, right));
    Assignment wrong = right;
    std::swap(wrong.column[0], wrong.column[1]);
    CHECK_FALSE(isOptimal(score, n, wrong));
    wrong = right;
    wrong.column[0] = wrong.column[1];
    CHECK_FALSE(isOptimal(score, n, wrong));
    wrong = right;
    wrong.column[0] = n;
    CHECK_FALSE(isOptimal(score, n, wrong));
    wrong = right;
    --wrong.rowPrice[3];
    CHECK_FALSE(isOptimal(score, n, wrong));
    wrong = right;
    ++wrong.columnPrice[3];
    CHECK_FALSE(isOptimal(score, n, wrong));
    wrong = right;
    ++wrong.total;
    CHECK_FALSE(isOptimal(score, n, wrong));
    wrong = right;
    wrong.rowPrice.pop_back();
    CHECK_FALSE(isOptimal(score, n, wrong));
}

TEST_CASE("a score out of range is refused with its row", "[assignment]") {
    std::vector<std::int32_t> score(100, 5);
    for (const std::int32_t bad :
         {regauge::maxScore + 1, -regauge::maxScore - 1, std::numeric_limits<std::int32_t>::min()}) {
        score[37] = bad;
        INFO(bad);
        const auto refusal = requireRefusal([&] { assign(score, 10); });
        CHECK(refusal.code == ErrorCode::tooLarge);
        CHECK(refusal.message.find("row 3 ") != std::string::npos);
    }
    score[37] = 5;
    CHECK(codeOf([&] { assign(score, 9); }) == ErrorCode::shapeMismatch);
}

TEST_CASE("an assignment reports how far it is, never backwards, and can be cancelled at any report", "[assignment]") {
    const std::size_t n = 500;
    const auto score = makeMatrix("low-rank", n);
    std::vector<std::uint64_t> reports;
    assign(score, n, regauge::Progress([&](std::string_view stage, std::uint64_t done, std::uint64_t total) {
               CHECK(stage == "assigning");
               CHECK(total == n);
               reports.push_back(done);
               return true;
           }));
    REQUIRE(reports.size() > 3);
    CHECK(std::is_sorted(reports.begin(), reports.end()));
    CHECK(reports.back() == n);
    for (std::size_t stop = 1; stop <= reports.size(); stop += 2) {
        std::size_t count = 0;
        const regauge::Progress progress(
            [&](std::string_view, std::uint64_t, std::uint64_t) { return ++count < stop; });
        CHECK(codeOf([&] { assign(score, n, progress); }) == ErrorCode::cancelled);
        CHECK(count == stop);
    }
}

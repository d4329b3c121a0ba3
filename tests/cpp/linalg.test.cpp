// Dense linear algebra: the textbook loops, to the bit, on every instruction set and for every number of threads.
#include <algorithm>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>

#include "base/sha256.hpp"
#include "numeric/linalg.hpp"
#include "refusal.hpp"
#include "regauge/error.hpp"
#include "rows_fixture.hpp"

using namespace regauge;
using regauge::testing::Numbers;
using regauge::testing::onEveryInstructionSet;

namespace {

template <class T>
using Matrix = std::vector<T>;

template <class T>
Matrix<T> random(std::size_t rows, std::size_t columns, std::uint64_t seed) {
    Numbers numbers(seed);
    Matrix<T> a(rows * columns);
    for (T& value : a) value = static_cast<T>(numbers.normal());
    return a;
}

// Symmetric, positive definite, and not diagonal by far.
template <class T>
Matrix<T> spd(std::size_t n, std::uint64_t seed) {
    const Matrix<T> x = random<T>(n, n, seed);
    Matrix<T> a(n * n, T(0));
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            for (std::size_t k = 0; k < n; ++k) a[i * n + j] += x[i * n + k] * x[j * n + k];
        }
        a[i * n + i] += static_cast<T>(n);
    }
    return a;
}

template <class T>
bool sameBits(const Matrix<T>& a, const Matrix<T>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
Matrix<T> lowerOf(Matrix<T> a, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i)
        std::fill(a.begin() + static_cast<std::ptrdiff_t>(i * n + i + 1),
                  a.begin() + static_cast<std::ptrdiff_t>((i + 1) * n), T(0));
    return a;
}

template <class T>
Matrix<T> naiveCholesky(Matrix<T> a, std::size_t n) {
    for (std::size_t j = 0; j < n; ++j) {
        for (std::size_t i = j; i < n; ++i) {
            T value = a[i * n + j];
            for (std::size_t k = 0; k < j; ++k) value -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = i == j ? std::sqrt(value) : value / a[j * n + j];
        }
    }
    return lowerOf(a, n);
}

template <class T>
Matrix<T> naiveInverse(const Matrix<T>& a, std::size_t n) {
    const Matrix<T> l = naiveCholesky(a, n);
    Matrix<T> m(n * n, T(0));
    for (std::size_t j = 0; j < n; ++j) {
        for (std::size_t i = j; i < n; ++i) {
            T value = i == j ? T(1) : T(0);
            for (std::size_t k = j; k < i; ++k) value -= l[i * n + k] * m[k * n + j];
            m[i * n + j] = value / l[i * n + i];
        }
    }
    Matrix<T> inverse(n * n);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            T value = 0;
            for (std::size_t k = i; k < n; ++k) value += m[k * n + i] * m[k * n + j];
            inverse[i * n + j] = inverse[j * n + i] = value;
        }
    }
    return inverse;
}

}  // namespace

TEMPLATE_TEST_CASE("products have the bits of the textbook loop", "", float, double) {
    struct Sizes {
        std::size_t n, m, k;
    };
    for (const Sizes& sizes : {Sizes{1, 1, 1}, {0, 3, 2}, {3, 5, 0}, {7, 33, 65}, {130, 70, 300}, {65, 270, 20}}) {
        const std::size_t n = sizes.n, m = sizes.m, k = sizes.k;
        const auto a = random<TestType>(n, k, 1);
        const auto b = random<TestType>(k, m, 2);
        const auto start = random<TestType>(n, m, 3);
        auto wanted = start;
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < m; ++j) {
                for (std::size_t term = 0; term < k; ++term) wanted[i * m + j] += a[i * k + term] * b[term * m + j];
            }
        }
        onEveryInstructionSet([&](std::string_view isa) {
            for (const unsigned threads : {1u, 3u}) {
                INFO(isa << ", " << threads << " threads, " << n << " x " << m << " x " << k);
                auto c = start;
                multiply(a.data(), b.data(), c.data(), n, m, k, threads);
                CHECK(sameBits(c, wanted));
            }
        });
    }
}

TEMPLATE_TEST_CASE("Cholesky factors and inverses have the bits of the textbook loops", "", float, double) {
    for (const std::size_t n : std::initializer_list<std::size_t>{1, 2, 31, 33, 64, 100, 257, 300}) {
        const auto a = spd<TestType>(n, n);
        const auto factor = naiveCholesky(a, n);
        const auto inverse = naiveInverse(a, n);
        onEveryInstructionSet([&](std::string_view isa) {
            for (const unsigned threads : {1u, 3u}) {
                INFO(isa << ", " << threads << " threads, n = " << n);
                auto l = a;
                CHECK(choleskyInPlace(l.data(), n, threads));
                CHECK(sameBits(lowerOf(l, n), factor));
                auto found = lowerOf(a, n);  // the upper triangle is not read
                CHECK(invertSpd(found.data(), n, threads));
                CHECK(sameBits(found, inverse));
            }
        });
    }
}

TEST_CASE("an inverse times its matrix is close to one") {
    const std::size_t n = 200;
    const auto a = spd<double>(n, 5);
    auto inverse = a;
    REQUIRE(invertSpd(inverse.data(), n, 2));
    std::vector<double> product(n * n, 0.0);
    multiply(a.data(), inverse.data(), product.data(), n, n, n, 2);
    double worst = 0;
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j)
            worst = std::max(worst, std::fabs(product[i * n + j] - (i == j ? 1.0 : 0.0)));
    }
    CHECK(worst < 1e-12);
}

TEST_CASE("a matrix that is not positive definite has no factor") {
    for (const std::size_t n : std::initializer_list<std::size_t>{1, 40, 300}) {
        auto a = spd<double>(n, 9);
        a[(n - 1) * n + (n - 1)] = -1;
        auto b = a;
        CHECK_FALSE(choleskyInPlace(a.data(), n, 2));
        CHECK_FALSE(invertSpd(b.data(), n, 2));
    }
    std::vector<double> nan{std::nan("")};
    CHECK_FALSE(choleskyInPlace(nan.data(), 1, 1));
}

TEST_CASE("an inversion reports how far it is and can be cancelled") {
    const std::size_t n = 300;
    auto a = spd<float>(n, 2);
    std::uint64_t last = 0;
    bool grows = true;
    CHECK(invertSpd(a.data(), n, 1, Progress([&](std::string_view, std::uint64_t done, std::uint64_t total) {
                        grows = grows && done >= last && done <= total;
                        last = done;
                        return true;
                    })));
    CHECK(grows);
    CHECK(last == 3 * n);
    a = spd<float>(n, 2);
    const Progress cancelled([](std::string_view, std::uint64_t, std::uint64_t) { return false; });
    CHECK(test::codeOf([&] { invertSpd(a.data(), n, 1, cancelled); }) == ErrorCode::cancelled);
}

TEST_CASE("an inverse has the same bits on every target") {
    auto a = spd<double>(70, 4);
    REQUIRE(invertSpd(a.data(), 70, 1));
    Sha256 hash;
    hash.update(std::as_bytes(std::span(a)));
    CHECK(hash.hex() == "8f79e3b094705643f8ecf3cfb70cdc572b0ea5c3084a536ad3d59f1fea311831");
}

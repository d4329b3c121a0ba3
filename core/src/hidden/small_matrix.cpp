#include "hidden/small_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace regauge::small {

Matrix identity(std::size_t n) {
    Matrix a(n * n, 0.0);
    for (std::size_t i = 0; i < n; ++i) a[i * n + i] = 1;
    return a;
}

Matrix product(std::span<const double> a, std::span<const double> b, std::size_t n, std::size_t m, std::size_t k) {
    Matrix c(n * k, 0.0);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < m; ++j) {
            const double factor = a[i * m + j];
            for (std::size_t x = 0; x < k; ++x) c[i * k + x] += factor * b[j * k + x];
        }
    return c;
}

Matrix productTransposed(std::span<const double> a, std::span<const double> b, std::size_t n, std::size_t m,
                         std::size_t k) {
    Matrix c(n * k, 0.0);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t x = 0; x < k; ++x) {
            double sum = 0;
            for (std::size_t j = 0; j < m; ++j) sum += a[i * m + j] * b[x * m + j];
            c[i * k + x] = sum;
        }
    return c;
}

Matrix transpose(std::span<const double> a, std::size_t n) {
    Matrix b(n * n);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) b[j * n + i] = a[i * n + j];
    return b;
}

std::optional<Matrix> inverse(std::span<const double> a, std::size_t n) {
    constexpr double negligible = 1e-12;  // of the largest entry: below it, a pivot is rounding
    Matrix rest(a.begin(), a.end()), result = identity(n);
    double largest = 0;
    for (const double value : rest) largest = std::max(largest, std::fabs(value));
    for (std::size_t column = 0; column < n; ++column) {
        std::size_t pivot = column;
        for (std::size_t i = column + 1; i < n; ++i)
            if (std::fabs(rest[i * n + column]) > std::fabs(rest[pivot * n + column])) pivot = i;
        const double value = rest[pivot * n + column];
        if (!(std::fabs(value) > negligible * largest)) return std::nullopt;
        for (std::size_t j = 0; j < n; ++j) {
            std::swap(rest[pivot * n + j], rest[column * n + j]);
            std::swap(result[pivot * n + j], result[column * n + j]);
        }
        for (std::size_t j = 0; j < n; ++j) rest[column * n + j] /= value, result[column * n + j] /= value;
        for (std::size_t i = 0; i < n; ++i) {
            const double factor = rest[i * n + column];
            if (i == column || factor == 0) continue;
            for (std::size_t j = 0; j < n; ++j) {
                rest[i * n + j] -= factor * rest[column * n + j];
                result[i * n + j] -= factor * result[column * n + j];
            }
        }
    }
    return result;
}

Matrix widened(std::span<const float> a) { return {a.begin(), a.end()}; }

std::vector<float> narrowed(std::span<const double> a) {
    std::vector<float> result;
    result.reserve(a.size());
    for (const double value : a) result.push_back(static_cast<float>(value));
    return result;
}

}  // namespace regauge::small

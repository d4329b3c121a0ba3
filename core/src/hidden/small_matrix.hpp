// Small square matrices in double, row-major: what one head's channels are multiplied with. Fixed order of operations.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace regauge::small {

using Matrix = std::vector<double>;

Matrix identity(std::size_t n);
// a b, [n, m] times [m, k].
Matrix product(std::span<const double> a, std::span<const double> b, std::size_t n, std::size_t m, std::size_t k);
// a b^T, [n, m] times [k, m]^T.
Matrix productTransposed(std::span<const double> a, std::span<const double> b, std::size_t n, std::size_t m,
                         std::size_t k);
Matrix transpose(std::span<const double> a, std::size_t n);
// a^-1 by elimination with row pivots; nothing where a pivot is below 1e-12 of the largest entry.
std::optional<Matrix> inverse(std::span<const double> a, std::size_t n);

// Float matrices of a file, in double, and back.
Matrix widened(std::span<const float> a);
std::vector<float> narrowed(std::span<const double> a);

}  // namespace regauge::small

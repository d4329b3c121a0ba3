// Many right-hand sides of one symmetric positive definite system, by its Cholesky factor.
#pragma once

#include <cstddef>
#include <vector>

namespace regauge {

// X L L^T = B over b [rows, n], row-major, for the lower triangle of l [n, n] (choleskyInPlace of numeric/linalg.hpp).
// Every element is made of the same operations in the same order, whatever the number of rows and threads; rows n^2
// multiplications and additions.
void solveFromRight(const std::vector<double>& l, std::size_t n, double* b, std::size_t rows, unsigned threads);

}  // namespace regauge

// Dense linear algebra for whitening, in float or double, with the same bits on every target and for every number of
// threads: each element is the result of the textbook formula with its terms taken one after another, multiplication
// and addition rounded apart. Matrices are row-major.
// Kernels of the active instruction set (kernels/isa.hpp).
#pragma once

#include <cstddef>

#include "regauge/progress.hpp"

namespace regauge {

// c += a b: a is n x k, b is k x m, c is n x m; c[i, j] = (((c[i, j] + a[i, 0] b[0, j]) + a[i, 1] b[1, j]) + ..).
template <class T>
void multiply(const T* a, const T* b, T* c, std::size_t n, std::size_t m, std::size_t k, unsigned threads);

// The Cholesky factor L (L L^T = a) into the lower triangle of a [n x n], which is all that is read:
//   L[i, j] = (a[i, j] - L[i, 0] L[j, 0] - L[i, 1] L[j, 1] - ..) / L[j, j].
// The upper triangle is undefined afterwards. False where a is not positive definite; a is spoilt then.
template <class T>
bool choleskyInPlace(T* a, std::size_t n, unsigned threads);

// a^-1 into all of a [n x n]; reads the lower triangle. By L, then M = L^-1 by forward substitution, then M^T M; n^3 /
// 2 multiplications and additions. False where a is not positive definite; a is spoilt then. Reports `stage`; throws
// Error(cancelled).
template <class T>
bool invertSpd(T* a, std::size_t n, unsigned threads, const Progress& progress = {}, const char* stage = "inverting");

}  // namespace regauge

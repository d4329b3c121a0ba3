// The polar factor of a matrix: the nearest matrix with orthonormal columns, or rows.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "regauge/progress.hpp"

namespace regauge {

// U V^T of the singular value decomposition a = U S V^T; a [rows, columns]. Directions in which a is zero to rounding
// stay zero, so of a matrix without full rank it is a partial isometry.
// By Newton's iteration in the form that Nakatsukasa, Bai and Gygi 2010 weight dynamically: products and the inverse
// of one symmetric positive definite matrix a step, about eight steps. The same bits for every number of threads.
std::vector<double> polarFactor(std::span<const double> a, std::size_t rows, std::size_t columns, unsigned threads,
                                const Progress& progress = {});

// The transpose of a [rows, columns].
std::vector<double> transposed(std::span<const double> a, std::size_t rows, std::size_t columns);

}  // namespace regauge

#include "maps/polar.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "numeric/linalg.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// X <- (b/c) X + (a - b/c) X (I + c X^T X)^-1 brings singular values in [l, 1] nearer to 1. The weights are the best
// for l = 1e-6, step after step (Nakatsukasa, Bai and Gygi 2010, "Optimizing Halley's iteration for computing the
// matrix polar decomposition", section 3), as numbers, since cube roots round differently from library to library.
// After them Halley's own 3, 1, 3, which suit l = 1; smaller singular values still grow by 3 a step.
struct Weights {
    double a, b, c;
};
constexpr std::array<Weights, 5> dynamic{{{25198.4210772633, 158727507.236228, 158752704.657306},
                                          {29.385590539236, 201.435437565292, 229.821028104528},
                                          {3.76538545455853, 1.91183917807097, 4.6772246326295},
                                          {3.00187461653191, 1.00187549507869, 3.0037501116106},
                                          {3.00000000004568, 1.00000000004568, 3.00000000009137}}};
constexpr Weights last{3, 1, 3};

constexpr std::size_t mostSteps = 40;
// Of the mean squared change of a column in a step: below it, rounding is all that changes.
constexpr double settled = 1e-26;

// At least the largest singular value, and of a well-shaped matrix hardly more.
double boundOfNorm(std::span<const double> a, std::size_t rows, std::size_t columns) {
    std::vector<double> ofRow(rows, 0.0), ofColumn(columns, 0.0);
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < columns; ++j) {
            const double value = std::fabs(a[i * columns + j]);
            ofRow[i] += value, ofColumn[j] += value;
        }
    return std::sqrt(*std::ranges::max_element(ofRow)) * std::sqrt(*std::ranges::max_element(ofColumn));
}

}  // namespace

std::vector<double> transposed(std::span<const double> a, std::size_t rows, std::size_t columns) {
    constexpr std::size_t side = 32;  // squares that stay in cache on both sides
    std::vector<double> result(a.size());
    for (std::size_t i0 = 0; i0 < rows; i0 += side)
        for (std::size_t j0 = 0; j0 < columns; j0 += side)
            for (std::size_t i = i0; i < std::min(rows, i0 + side); ++i)
                for (std::size_t j = j0; j < std::min(columns, j0 + side); ++j)
                    result[j * rows + i] = a[i * columns + j];
    return result;
}

std::vector<double> polarFactor(std::span<const double> a, std::size_t rows, std::size_t columns, unsigned threads,
                                const Progress& progress) {
    if (rows < columns)
        return transposed(polarFactor(transposed(a, rows, columns), columns, rows, threads, progress), columns, rows);
    std::vector<double> x(a.begin(), a.end());
    if (x.empty()) return x;
    const double bound = boundOfNorm(a, rows, columns);
    if (!(bound > 0)) return x;
    for (double& value : x) value /= bound;

    std::vector<double> inverse(columns * columns), product(x.size());
    for (std::size_t step = 0; step < mostSteps; ++step) {
        progress.report("orthogonal map", step, dynamic.size() + 2);
        const Weights& w = step < dynamic.size() ? dynamic[step] : last;
        std::ranges::fill(inverse, 0.0);
        multiply(transposed(x, rows, columns).data(), x.data(), inverse.data(), columns, columns, rows, threads);
        for (double& value : inverse) value *= w.c;
        for (std::size_t j = 0; j < columns; ++j) inverse[j * columns + j] += 1;
        if (!invertSpd(inverse.data(), columns, threads))
            throw Error(ErrorCode::internal, "", "I + c X^T X is not positive definite");
        std::ranges::fill(product, 0.0);
        multiply(x.data(), inverse.data(), product.data(), rows, columns, columns, threads);
        const double keep = w.b / w.c, turn = w.a - keep;
        double change = 0;
        for (std::size_t k = 0; k < x.size(); ++k) {
            const double next = keep * x[k] + turn * product[k];
            change += (next - x[k]) * (next - x[k]);
            x[k] = next;
        }
        if (step >= dynamic.size() && change <= settled * static_cast<double>(columns)) break;
    }
    return x;
}

}  // namespace regauge

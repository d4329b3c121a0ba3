#include "maps/spd_solve.hpp"

#include <algorithm>

#include "base/parallel.hpp"
#include "numeric/gemm.hpp"

namespace regauge {
namespace {

// Columns that are solved in one go: few, since they go element by element, and enough for the products between them.
constexpr std::size_t block = 64;
// Rows of one task; each packs the factor once.
constexpr std::size_t taskRows = 256;
constexpr double multiplicationsPerMicrosecond = 1e4;

// The inverses of the diagonal's blocks, [blocks][block, block] row-major, lower triangles.
std::vector<double> diagonalInverses(const std::vector<double>& l, std::size_t n) {
    const std::size_t blocks = (n + block - 1) / block;
    std::vector<double> result(blocks * block * block, 0.0);
    for (std::size_t first = 0; first < n; first += block) {
        const std::size_t size = std::min(block, n - first);
        double* inverse = &result[first * block];
        for (std::size_t i = 0; i < size; ++i) {
            const double* row = &l[(first + i) * n + first];
            inverse[i * block + i] = 1;
            for (std::size_t k = 0; k < i; ++k)
                for (std::size_t j = 0; j <= k; ++j) inverse[i * block + j] -= row[k] * inverse[k * block + j];
            for (std::size_t j = 0; j <= i; ++j) inverse[i * block + j] /= row[i];
        }
    }
    return result;
}

// Rows of one task: first Z L^T = B from the first block on, then X L = Z from the last one back.
class Solver {
public:
    Solver(const std::vector<double>& l, const std::vector<double>& inverses, std::size_t n, double* b,
           std::size_t rows)
        : l_(l), inverses_(inverses), n_(n), b_(b), rows_(rows), result_(rows * block) {}

    void run() {
        for (std::size_t first = 0; first < n_; first += block) {
            if (first > 0)
                gemm_.multiply({b_, n_, 1}, MatrixView<double>{&l_[first * n_], n_, 1}.transposed(), b_ + first, n_,
                               rows_, widthAt(first), first, Accumulate::subtract);
            divide(first, true);
        }
        for (std::size_t first = (n_ - 1) / block * block;; first -= block) {
            const std::size_t after = first + widthAt(first);
            if (after < n_)
                gemm_.multiply({b_ + after, n_, 1}, {&l_[after * n_ + first], n_, 1}, b_ + first, n_, rows_,
                               widthAt(first), n_ - after, Accumulate::subtract);
            divide(first, false);
            if (first == 0) break;
        }
    }

private:
    std::size_t widthAt(std::size_t first) const { return std::min(block, n_ - first); }

    // The block's columns times its inverse, or times the transpose of that.
    void divide(std::size_t first, bool transpose) {
        const std::size_t width = widthAt(first);
        const MatrixView<double> inverse{&inverses_[first * block], block, 1};
        std::ranges::fill(result_, 0.0);
        gemm_.multiply({b_ + first, n_, 1}, transpose ? inverse.transposed() : inverse, result_.data(), block, rows_,
                       width, width, Accumulate::add);
        for (std::size_t i = 0; i < rows_; ++i) std::copy_n(&result_[i * block], width, b_ + i * n_ + first);
    }

    const std::vector<double>&l_, &inverses_;
    std::size_t n_;
    double* b_;
    std::size_t rows_;
    std::vector<double> result_;
    Gemm<double> gemm_;
};

}  // namespace

void solveFromRight(const std::vector<double>& l, std::size_t n, double* b, std::size_t rows, unsigned threads) {
    if (n == 0) return;
    const std::vector<double> inverses = diagonalInverses(l, n);
    const double work = static_cast<double>(rows) * static_cast<double>(n) * static_cast<double>(n);
    parallelFor(threadsWorth(threads, work / multiplicationsPerMicrosecond), (rows + taskRows - 1) / taskRows,
                [&](std::size_t task) {
                    const std::size_t first = task * taskRows;
                    Solver(l, inverses, n, b + first * n, std::min(taskRows, rows - first)).run();
                });
}

}  // namespace regauge

// Whitening: the inverse square root of a correlation matrix, by inverses alone, so that it is fast at d = 4096 and has
// the same bits everywhere.
//
//   A = f(G),  f(w) = sum over poles k of c_k / (w + s_k),  close to w^(-1/2) for 1e-4 <= w <= 100
//
// Any function of G commutes with signed permutations, so A C B is as legitimate a statistic as C. Fewer poles whiten
// less: the largest two act like a ridge of about 1, all four like one of 1e-4. (experiments/reference/README.md shows
// what each recovers.)
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "kernels/aligned_buffer.hpp"
#include "numeric/rounded_product.hpp"
#include "numeric/symmetric.hpp"
#include "regauge/correlation.hpp"
#include "regauge/progress.hpp"

namespace regauge {

struct Pole {
    double shift, weight;
};
// From the weakest whitening to the strongest: each strength uses one pole more.
inline constexpr std::array<Pole, 4> poles{{{63.4, 13.44}, {0.786, 1.168}, {0.0127, 0.1486}, {1.6e-4, 0.0212}}};
// One alone: ridge regression, which makes large directions quieter than a root would, and small ones no louder.
inline constexpr std::array<Pole, 1> ridge{{{0.786, 1}}};

// f(G) of one side, built up pole by pole.
class Whitener {
public:
    // gram: the correlation matrix.
    explicit Whitener(Symmetric gram, std::span<const Pole> of = poles);

    // Adds the next pole. O(d^3).
    void strengthen(unsigned threads, const Progress& progress);

    // The correlation matrix back, when no pole is to be added any more.
    Symmetric takeGram() { return std::move(gram_); }
    const Symmetric& matrix() const { return matrix_; }
    // 1 / sqrt(diagonal of A G A): scales a whitened channel to unit variance.
    std::vector<float> scale() const;

private:
    Symmetric gram_;
    std::span<const Pole> poles_;
    Symmetric matrix_;                             // A
    std::vector<std::vector<double>> diagonal_;    // of (G + s_k)^-1, for every pole in use
    std::vector<std::vector<double>> rowSquares_;  // of (G + s_k)^-1: the diagonal of its square
};

// W = A_y C A_x, renormalised: W[i, j] = scale_y[i] (A_y C A_x)[i, j] scale_x[j], for any C of one pair of models. C
// and W are d x d, target channels down, source channels across.
class Whitening {
public:
    // Coarse: the products are rounded to bytes (rounded_product.hpp). Fine: in float32.
    Whitening(const Whitener& x, const Whitener& y, Resolution resolution, unsigned threads);

    kernels::UnclearedVector<float> operator()(std::span<const float> cross) const;

private:
    const Symmetric &x_, &y_;
    std::vector<float> scaleX_, scaleY_;
    std::optional<RoundedSymmetric> roundedX_, roundedY_;
    unsigned threads_;
};

}  // namespace regauge

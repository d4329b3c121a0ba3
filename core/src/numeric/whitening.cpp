#include "numeric/whitening.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "numeric/linalg.hpp"
#include "scores/row_tasks.hpp"

namespace regauge {
namespace {

// Below this shift, single precision cannot hold the inverse: the correlation matrix's largest eigenvalue may be d, its
// smallest 0.
constexpr double singlePrecisionShift = 0.1;

// (gram + shift I)^-1 in T, added to `sum` times `weight`; its diagonal and the squared norms of its rows.
template <class T>
void addInverse(const Symmetric& gram, Pole pole, unsigned threads, const Progress& progress, Symmetric& sum,
                std::vector<double>& diagonal, std::vector<double>& rowSquares) {
    const std::size_t d = gram.d();
    kernels::UnclearedVector<T> inverse(d * d);
    forRowTasks(d, threads, [&](std::size_t, std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i) {
            std::fill(std::copy_n(gram.lower(i), i + 1, &inverse[i * d]), &inverse[i * d] + d, T(0));
            inverse[i * d + i] += static_cast<T>(pole.shift);
        }
    });
    invertSpd(inverse.data(), d, threads, progress);
    diagonal.resize(d), rowSquares.resize(d);
    forRowTasks(d, threads, [&](std::size_t, std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i) {
            const T* row = &inverse[i * d];
            float* sumRow = sum.lower(i);
            double squares = 0;
            for (std::size_t j = 0; j < d; ++j) squares += static_cast<double>(row[j]) * static_cast<double>(row[j]);
            for (std::size_t j = 0; j <= i; ++j) sumRow[j] += static_cast<float>(static_cast<T>(pole.weight) * row[j]);
            diagonal[i] = static_cast<double>(row[i]);
            rowSquares[i] = squares;
        }
    });
}

// Y C X in single precision.
kernels::UnclearedVector<float> product(const Symmetric& x, const Symmetric& y, std::span<const float> cross,
                                        unsigned threads) {
    const std::size_t d = x.d();
    kernels::UnclearedVector<float> right(d * d), whole(d * d, 0.0F), part;
    x.rows(0, d, right.data());
    y.forRowBlocks([&](std::size_t first, std::size_t count, const float* left) {
        part.assign(count * d, 0.0F);
        multiply(left, cross.data(), part.data(), count, d, d, threads);
        multiply(part.data(), right.data(), &whole[first * d], count, d, d, threads);
    });
    return whole;
}

}  // namespace

Whitener::Whitener(Symmetric gram, std::span<const Pole> of) : gram_(std::move(gram)), poles_(of), matrix_(gram_.d()) {}

void Whitener::strengthen(unsigned threads, const Progress& progress) {
    const Pole pole = poles_[diagonal_.size()];
    const auto add = pole.shift < singlePrecisionShift ? addInverse<double> : addInverse<float>;
    add(gram_, pole, threads, progress, matrix_, diagonal_.emplace_back(), rowSquares_.emplace_back());
}

std::vector<float> Whitener::scale() const {
    // With H_k = (G + s_k)^-1:  H_k G H_l = H_k - s_l H_k H_l,  H_k H_l = (H_k - H_l) / (s_l - s_k): no product of
    // matrices is needed.
    std::vector<float> scale(matrix_.d());
    for (std::size_t i = 0; i < scale.size(); ++i) {
        double variance = 0;
        for (std::size_t k = 0; k < diagonal_.size(); ++k)
            for (std::size_t l = 0; l < diagonal_.size(); ++l) {
                const double product = k == l
                                           ? rowSquares_[k][i]
                                           : (diagonal_[k][i] - diagonal_[l][i]) / (poles_[l].shift - poles_[k].shift);
                variance += poles_[k].weight * poles_[l].weight * (diagonal_[k][i] - poles_[l].shift * product);
            }
        scale[i] = variance > 0 ? static_cast<float>(1 / std::sqrt(variance)) : 0.0F;
    }
    return scale;
}

Whitening::Whitening(const Whitener& x, const Whitener& y, Resolution resolution, unsigned threads)
    : x_(x.matrix()), y_(y.matrix()), scaleX_(x.scale()), scaleY_(y.scale()), threads_(threads) {
    if (resolution == Resolution::coarse) roundedX_.emplace(x_, threads), roundedY_.emplace(y_, threads);
}

kernels::UnclearedVector<float> Whitening::operator()(std::span<const float> cross) const {
    const std::size_t d = scaleX_.size();
    kernels::UnclearedVector<float> whole;
    if (roundedX_) {
        kernels::UnclearedVector<float> part(d * d);
        whole.resize(d * d);
        roundedY_->transposeTimes(cross, threads_, part);
        roundedX_->transposeTimes(part, threads_, whole);
    } else {
        whole = product(x_, y_, cross, threads_);
    }
    forRowTasks(d, threads_, [&](std::size_t, std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i)
            for (std::size_t j = 0; j < d; ++j) {
                const float value = scaleY_[i] * whole[i * d + j] * scaleX_[j];
                whole[i * d + j] = value > 1 ? 1.0F : value < -1 ? -1.0F : value;
            }
    });
    return whole;
}

}  // namespace regauge

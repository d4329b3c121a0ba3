#include "whitening.hpp"

#include <cmath>

#include "linalg.hpp"

namespace regauge {
namespace {

// Below this shift, single precision cannot hold the inverse: the correlation matrix's largest eigenvalue may be d, its smallest 0.
constexpr double singlePrecisionShift = 0.1;

// (gram + shift I)^-1 in T, added to `sum` times `weight`; its diagonal and the squared norms of its rows.
template <class T>
void addInverse(std::span<const float> gram, std::size_t d, Pole pole, unsigned threads, const Progress& progress, std::vector<float>& sum,
                std::vector<double>& diagonal, std::vector<double>& rowSquares) {
    std::vector<T> inverse(gram.begin(), gram.end());
    for (std::size_t i = 0; i < d; ++i) inverse[i * d + i] += static_cast<T>(pole.shift);
    invertSpd(inverse.data(), d, threads, progress);
    diagonal.resize(d), rowSquares.resize(d);
    for (std::size_t i = 0; i < d; ++i) {
        const T* row = &inverse[i * d];
        float* sumRow = &sum[i * d];
        double squares = 0;
        for (std::size_t j = 0; j < d; ++j) {
            squares += static_cast<double>(row[j]) * static_cast<double>(row[j]);
            sumRow[j] += static_cast<float>(static_cast<T>(pole.weight) * row[j]);
        }
        diagonal[i] = static_cast<double>(row[i]);
        rowSquares[i] = squares;
    }
}

}  // namespace

Whitener::Whitener(std::span<const float> gram, std::size_t d) : gram_(gram), d_(d), matrix_(d * d, 0.0F) {}

void Whitener::strengthen(unsigned threads, const Progress& progress) {
    const Pole pole = poles[strength_];
    const auto add = pole.shift < singlePrecisionShift ? addInverse<double> : addInverse<float>;
    add(gram_, d_, pole, threads, progress, matrix_, diagonal_[strength_], rowSquares_[strength_]);
    ++strength_;
}

std::vector<float> Whitener::scale() const {
    // With H_k = (G + s_k)^-1:  H_k G H_l = H_k - s_l H_k H_l,  H_k H_l = (H_k - H_l) / (s_l - s_k): no product of matrices is needed.
    std::vector<float> scale(d_);
    for (std::size_t i = 0; i < d_; ++i) {
        double variance = 0;
        for (std::size_t k = 0; k < strength_; ++k)
            for (std::size_t l = 0; l < strength_; ++l) {
                const double product = k == l ? rowSquares_[k][i] : (diagonal_[k][i] - diagonal_[l][i]) / (poles[l].shift - poles[k].shift);
                variance += poles[k].weight * poles[l].weight * (diagonal_[k][i] - poles[l].shift * product);
            }
        scale[i] = variance > 0 ? static_cast<float>(1 / std::sqrt(variance)) : 0.0F;
    }
    return scale;
}

std::vector<float> whiten(const Whitener& x, const Whitener& y, std::span<const float> cross, unsigned threads) {
    const std::vector<float> scaleX = x.scale(), scaleY = y.scale();
    const std::size_t d = scaleX.size();
    std::vector<float> half(d * d, 0.0F), whole(d * d, 0.0F);
    multiply(y.matrix().data(), cross.data(), half.data(), d, d, d, threads);
    multiply(half.data(), x.matrix().data(), whole.data(), d, d, d, threads);
    for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < d; ++j) {
            const float value = scaleY[i] * whole[i * d + j] * scaleX[j];
            whole[i * d + j] = value > 1 ? 1.0F : value < -1 ? -1.0F : value;
        }
    return whole;
}

}  // namespace regauge

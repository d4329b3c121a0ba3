// One linear map fitted to moments, and how it does on other rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "maps/joint_sums.hpp"
#include "regauge/gauge.hpp"
#include "regauge/progress.hpp"

namespace regauge {

// y = m x + b in the moments' units; m [dy, dx] row-major.
struct Fitted {
    std::vector<double> m, b;
};

// m with b such that the means fit.
Fitted withMeans(std::vector<double> m, const Moments& moments);
// m = yx (xx + lambda I)^-1: scikit-learn's Ridge(alpha=lambda). targets: of these channels of the target, in this
// order; empty: of all. Throws Error(usage) where the rows do not determine it, Error(cancelled).
Fitted fitAffine(const Moments& moments, double lambda, unsigned threads, const Progress& progress,
                 std::span<const std::size_t> targets = {});
// The polar factor of yx: SciPy's orthogonal_procrustes on centred rows.
Fitted fitOrthogonal(const Moments& moments, unsigned threads, const Progress& progress);
Fitted fitGauge(const Gauge& gauge, const Moments& moments);
// m = 0: the mean alone.
Fitted fitMean(const Moments& moments);

// Sums over rows, one for each target channel.
struct Residuals {
    std::uint64_t rows = 0;
    std::vector<double> errors;  // squared: of y - (m x + b)
    std::vector<double> total;   // squared: of y - its mean over these rows
    void add(const Residuals& more);
    double r2() const;
    double meanChannelR2() const;
    std::vector<double> channelR2() const;
};
// m xx, from which much else follows; m [count, dx].
std::vector<double> imageOf(const Fitted& fitted, const Moments& rows, unsigned threads);
// image: imageOf(fitted, rows). targets: the channels that `fitted` is of; empty: all.
Residuals residuals(const Fitted& fitted, const Moments& rows, std::span<const double> image,
                    std::span<const std::size_t> targets = {});

// Sums over rows of ((m_a x + b_a) - (m_b x + b_b))^2, one for each target channel; images as above.
std::vector<double> difference(const Fitted& a, std::span<const double> imageA, const Fitted& b,
                               std::span<const double> imageB, const Moments& rows);

}  // namespace regauge

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
// m = yx (xx + lambda I)^-1: scikit-learn's Ridge(alpha=lambda). targets: of a part of the target's channels only, in
// this order; empty: all.
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
    std::vector<double> channelR2() const;
};
// targets: the channels that `fitted` is of; empty: all.
Residuals residuals(const Fitted& fitted, const Moments& rows, unsigned threads,
                    std::span<const std::size_t> targets = {});

// Sums over rows of ((m_a x + b_a) - (m_b x + b_b))^2, one for each target channel.
std::vector<double> difference(const Fitted& a, const Fitted& b, const Moments& rows, unsigned threads);

}  // namespace regauge

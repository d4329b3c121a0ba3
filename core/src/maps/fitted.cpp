#include "maps/fitted.hpp"

#include <algorithm>
#include <functional>

#include "maps/polar.hpp"
#include "numeric/linalg.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

double sumOf(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum;
}

double explained(double errors, double total) { return total > 0 ? 1 - errors / total : 0; }

// Sums over rows of (m (x - mean) + atMean)^2, row by row of m.
std::vector<double> energies(std::span<const double> m, std::span<const double> atMean, const Moments& rows,
                             unsigned threads) {
    const std::size_t dx = rows.dx(), count = atMean.size();
    std::vector<double> product(m.size(), 0.0), result(count);
    multiply(m.data(), rows.xx.data(), product.data(), count, dx, dx, threads);
    for (std::size_t i = 0; i < count; ++i) {
        double sum = 0;
        for (std::size_t j = 0; j < dx; ++j) sum += product[i * dx + j] * m[i * dx + j];
        result[i] = sum + static_cast<double>(rows.rows) * atMean[i] * atMean[i];
    }
    return result;
}

// m x + b at the mean of x.
std::vector<double> atMean(const Fitted& fitted, const Moments& rows) {
    const std::size_t dx = rows.dx();
    std::vector<double> result = fitted.b;
    for (std::size_t i = 0; i < result.size(); ++i)
        for (std::size_t j = 0; j < dx; ++j) result[i] += fitted.m[i * dx + j] * rows.meanX[j];
    return result;
}

}  // namespace

Fitted withMeans(std::vector<double> m, const Moments& moments) {
    Fitted result{std::move(m), moments.meanY};
    const std::size_t dx = moments.dx();
    for (std::size_t i = 0; i < result.b.size(); ++i) {
        double image = 0;
        for (std::size_t j = 0; j < dx; ++j) image += result.m[i * dx + j] * moments.meanX[j];
        result.b[i] -= image;
    }
    return result;
}

Fitted fitAffine(const Moments& moments, double lambda, unsigned threads, const Progress& progress,
                 std::span<const std::size_t> targets) {
    const std::size_t dx = moments.dx();
    std::vector<double> inverse = moments.xx;
    for (std::size_t j = 0; j < dx; ++j) inverse[j * dx + j] += lambda;
    if (!invertSpd(inverse.data(), dx, threads, progress, "affine map"))
        throw Error(ErrorCode::usage, "",
                    "the source's rows do not determine an affine map without a penalty (constant or dependent "
                    "channels, or fewer rows than channels); give --ridge a larger number, or leave it out");
    if (targets.empty()) {
        std::vector<double> m(moments.dy() * dx, 0.0);
        multiply(moments.yx.data(), inverse.data(), m.data(), moments.dy(), dx, dx, threads);
        return withMeans(std::move(m), moments);
    }
    Moments part{moments.rows, moments.meanX, {}, {}, {}, {}};
    for (const std::size_t i : targets) {
        part.meanY.push_back(moments.meanY[i]);
        part.yx.insert(part.yx.end(), &moments.yx[i * dx], &moments.yx[i * dx] + dx);
    }
    std::vector<double> m(targets.size() * dx, 0.0);
    multiply(part.yx.data(), inverse.data(), m.data(), targets.size(), dx, dx, threads);
    return withMeans(std::move(m), part);
}

Fitted fitOrthogonal(const Moments& moments, unsigned threads, const Progress& progress) {
    return withMeans(polarFactor(moments.yx, moments.dy(), moments.dx(), threads, progress), moments);
}

Fitted fitGauge(const Gauge& gauge, const Moments& moments) {
    const std::size_t d = moments.dx();
    std::vector<double> m(d * d, 0.0);
    for (std::size_t i = 0; i < d; ++i) m[i * d + gauge.perm()[i]] = gauge.sign()[i];
    return withMeans(std::move(m), moments);
}

Fitted fitMean(const Moments& moments) {
    return {std::vector<double>(moments.dy() * moments.dx(), 0.0), moments.meanY};
}

void Residuals::add(const Residuals& more) {
    if (errors.empty()) return void(*this = more);
    rows += more.rows;
    std::ranges::transform(errors, more.errors, errors.begin(), std::plus{});
    std::ranges::transform(total, more.total, total.begin(), std::plus{});
}

double Residuals::r2() const { return explained(sumOf(errors), sumOf(total)); }

std::vector<double> Residuals::channelR2() const {
    std::vector<double> result(errors.size());
    std::ranges::transform(errors, total, result.begin(), explained);
    return result;
}

Residuals residuals(const Fitted& fitted, const Moments& rows, unsigned threads, std::span<const std::size_t> targets) {
    const std::size_t dx = rows.dx(), dy = rows.dy(), count = fitted.b.size();
    std::vector<double> offset = atMean(fitted, rows);
    const auto channel = [&](std::size_t i) { return targets.empty() ? i : targets[i]; };
    for (std::size_t i = 0; i < count; ++i) offset[i] = rows.meanY[channel(i)] - offset[i];
    Residuals result{rows.rows, energies(fitted.m, offset, rows, threads), std::vector<double>(count)};
    for (std::size_t i = 0; i < count; ++i) {
        double both = 0;
        for (std::size_t j = 0; j < dx; ++j) both += fitted.m[i * dx + j] * rows.yx[channel(i) * dx + j];
        result.total[i] = rows.yy[channel(i) * dy + channel(i)];
        result.errors[i] = std::max(0.0, result.errors[i] + (result.total[i] - 2 * both));
    }
    return result;
}

std::vector<double> difference(const Fitted& a, const Fitted& b, const Moments& rows, unsigned threads) {
    std::vector<double> m(a.m.size()), offset = atMean(a, rows);
    std::ranges::transform(a.m, b.m, m.begin(), std::minus{});
    std::ranges::transform(offset, atMean(b, rows), offset.begin(), std::minus{});
    std::vector<double> result = energies(m, offset, rows, threads);
    for (double& value : result) value = std::max(0.0, value);
    return result;
}

}  // namespace regauge

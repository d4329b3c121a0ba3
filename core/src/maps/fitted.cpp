#include "maps/fitted.hpp"

#include <algorithm>
#include <functional>

#include "maps/polar.hpp"
#include "maps/spd_solve.hpp"
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

// Sums over rows of (m (x - mean) + offset)^2, row by row of m; image = m xx.
std::vector<double> energies(std::span<const double> m, std::span<const double> image, std::span<const double> offset,
                             const Moments& rows) {
    const std::size_t dx = rows.dx();
    std::vector<double> result(offset.size());
    for (std::size_t i = 0; i < result.size(); ++i) {
        double sum = 0;
        for (std::size_t j = 0; j < dx; ++j) sum += image[i * dx + j] * m[i * dx + j];
        result[i] = sum + static_cast<double>(rows.rows) * offset[i] * offset[i];
    }
    return result;
}

[[noreturn]] void refuseUndetermined() {
    throw Error(
        ErrorCode::usage, "",
        "the source's rows do not determine an affine map without a penalty (constant or dependent channels, or "
        "fewer rows than channels); give --ridge a larger number, or leave it out");
}

std::vector<double> penalised(const Moments& moments, double lambda) {
    std::vector<double> a = moments.xx;
    for (std::size_t j = 0; j < moments.dx(); ++j) a[j * moments.dx() + j] += lambda;
    return a;
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
    progress.report("affine map", 0, 1);
    std::vector<double> factor = penalised(moments, lambda);
    if (!choleskyInPlace(factor.data(), dx, threads)) refuseUndetermined();
    if (targets.empty()) {
        std::vector<double> m = moments.yx;
        solveFromRight(factor, dx, m.data(), moments.dy(), threads);
        return withMeans(std::move(m), moments);
    }
    Moments part{moments.rows, moments.meanX, {}, {}, {}, {}};
    std::vector<double> m(targets.size() * dx);
    for (std::size_t k = 0; k < targets.size(); ++k) {
        part.meanY.push_back(moments.meanY[targets[k]]);
        std::copy_n(&moments.yx[targets[k] * dx], dx, &m[k * dx]);
    }
    solveFromRight(factor, dx, m.data(), targets.size(), threads);
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

double Residuals::meanChannelR2() const {
    return sumOf(channelR2()) / static_cast<double>(std::max<std::size_t>(1, errors.size()));
}

std::vector<double> imageOf(const Fitted& fitted, const Moments& rows, unsigned threads) {
    std::vector<double> image(fitted.m.size(), 0.0);
    multiply(fitted.m.data(), rows.xx.data(), image.data(), fitted.b.size(), rows.dx(), rows.dx(), threads);
    return image;
}

Residuals residuals(const Fitted& fitted, const Moments& rows, std::span<const double> image,
                    std::span<const std::size_t> targets) {
    const std::size_t dx = rows.dx(), dy = rows.dy(), count = fitted.b.size();
    std::vector<double> offset = atMean(fitted, rows);
    const auto channel = [&](std::size_t i) { return targets.empty() ? i : targets[i]; };
    for (std::size_t i = 0; i < count; ++i) offset[i] = rows.meanY[channel(i)] - offset[i];
    Residuals result{rows.rows, energies(fitted.m, image, offset, rows), std::vector<double>(count)};
    for (std::size_t i = 0; i < count; ++i) {
        double both = 0;
        for (std::size_t j = 0; j < dx; ++j) both += fitted.m[i * dx + j] * rows.yx[channel(i) * dx + j];
        result.total[i] = rows.yy[channel(i) * dy + channel(i)];
        result.errors[i] = std::max(0.0, result.errors[i] + (result.total[i] - 2 * both));
    }
    return result;
}

std::vector<double> difference(const Fitted& a, std::span<const double> imageA, const Fitted& b,
                               std::span<const double> imageB, const Moments& rows) {
    std::vector<double> m(a.m.size()), image(a.m.size()), offset = atMean(a, rows);
    std::ranges::transform(a.m, b.m, m.begin(), std::minus{});
    std::ranges::transform(imageA, imageB, image.begin(), std::minus{});
    std::ranges::transform(offset, atMean(b, rows), offset.begin(), std::minus{});
    std::vector<double> result = energies(m, image, offset, rows);
    for (double& value : result) value = std::max(0.0, value);
    return result;
}

}  // namespace regauge

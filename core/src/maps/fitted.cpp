#include "maps/fitted.hpp"

#include <algorithm>
#include <functional>

#include "base/parallel.hpp"
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

// Solves L L^T z = b over b [n, columns] for the lower triangle l [n, n].
void solve(const std::vector<double>& l, std::size_t n, std::vector<double>& b, std::size_t columns) {
    const auto subtract = [&](std::size_t from, std::size_t i, double factor) {
        for (std::size_t k = 0; k < columns; ++k) b[i * columns + k] -= factor * b[from * columns + k];
    };
    const auto divide = [&](std::size_t i) {
        for (std::size_t k = 0; k < columns; ++k) b[i * columns + k] /= l[i * n + i];
    };
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < i; ++j) subtract(j, i, l[i * n + j]);
        divide(i);
    }
    for (std::size_t i = n; i-- > 0;) {  // column i of L^T is row i of L: its multiples go to all rows above
        divide(i);
        for (std::size_t j = 0; j < i; ++j) subtract(i, j, l[i * n + j]);
    }
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

Fitted fitAffine(const Moments& moments, double lambda, unsigned threads, const Progress& progress) {
    const std::size_t dx = moments.dx(), dy = moments.dy();
    std::vector<double> inverse = penalised(moments, lambda), m(dy * dx, 0.0);
    if (!invertSpd(inverse.data(), dx, threads, progress, "affine map")) refuseUndetermined();
    multiply(moments.yx.data(), inverse.data(), m.data(), dy, dx, dx, threads);
    return withMeans(std::move(m), moments);
}

Fitted fitAffine(const Moments& moments, double lambda, unsigned threads, std::span<const std::size_t> targets) {
    const std::size_t dx = moments.dx();
    std::vector<double> factor = penalised(moments, lambda);
    if (!choleskyInPlace(factor.data(), dx, threads)) refuseUndetermined();
    Moments part{moments.rows, moments.meanX, {}, {}, {}, {}};
    for (const std::size_t i : targets) part.meanY.push_back(moments.meanY[i]);
    std::vector<double> m(targets.size() * dx);
    // Blocks of channels, side by side so that they are solved together; each channel's own operations stay in order.
    constexpr std::size_t block = 32;
    parallelFor(threads, (targets.size() + block - 1) / block, [&](std::size_t task) {
        const std::size_t first = task * block, count = std::min(block, targets.size() - first);
        std::vector<double> b(dx * count);
        for (std::size_t k = 0; k < count; ++k)
            for (std::size_t j = 0; j < dx; ++j) b[j * count + k] = moments.yx[targets[first + k] * dx + j];
        solve(factor, dx, b, count);
        for (std::size_t k = 0; k < count; ++k)
            for (std::size_t j = 0; j < dx; ++j) m[(first + k) * dx + j] = b[j * count + k];
    });
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

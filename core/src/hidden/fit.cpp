#include "hidden/fit.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <optional>
#include <utility>

#include "hidden/small_matrix.hpp"

namespace regauge {
namespace {

using Complex = std::complex<double>;

// A fit must leave less than this share of what is left without it: noise alone, which a fit with few parameters
// explains a little of, leaves nearly all.
constexpr double clearly = 0.9;
// Less than this share of a part, left without a fit, is the rounding of its sums (of products in double, of which
// nearly all cancel): there is nothing to fit.
constexpr double rounding = 1e-12;

// Whether a fit of so many parts leaves less than `share` of what is left without it.
bool helps(double with, double without, std::size_t parts, double share = clearly) {
    return without > rounding * static_cast<double>(parts) && with < share * without;
}

double dot(const float* a, const float* b, std::size_t n) {
    double sum = 0;
    for (std::size_t k = 0; k < n; ++k) sum += static_cast<double>(a[k]) * b[k];
    return sum;
}

// |t - c s|^2 / |t|^2 from inner products.
double left(double tt, double ts, double ss, double c) { return tt > 0 ? (tt - 2 * c * ts + c * c * ss) / tt : 0; }

void fitNeuronScales(const LayerRows& source, const LayerRows& target, HiddenLayer& layer) {
    const HiddenRows &upT = target[HiddenRole::up], &upS = source[HiddenRole::up], &downT = target[HiddenRole::down],
                     &downS = source[HiddenRole::down];
    std::vector<float> scales;
    double without = 0, with = 0;
    for (std::size_t i = 0; i < layer.neurons.size(); ++i) {
        const std::size_t j = layer.neurons[i];
        const double sign = layer.neuronSign[i];
        const double tt = dot(upT.row(i), upT.row(i), upT.width), ss = dot(upS.row(j), upS.row(j), upS.width),
                     ts = sign * dot(upT.row(i), upS.row(j), upT.width);
        const double tt2 = dot(downT.row(i), downT.row(i), downT.width),
                     ss2 = dot(downS.row(j), downS.row(j), downS.width),
                     ts2 = sign * dot(downT.row(i), downS.row(j), downT.width);
        double c = 1;
        if (tt > 0 && ss > 0 && tt2 > 0 && ss2 > 0) c = std::sqrt(std::sqrt(tt / ss) * std::sqrt(ss2 / tt2));
        scales.push_back(static_cast<float>(c));
        without += left(tt, ts, ss, 1) + left(tt2, ts2, ss2, 1);
        with += left(tt, ts, ss, c) + left(tt2, ts2, ss2, 1 / c);
    }
    if (helps(with, without, 2 * scales.size())) layer.neuronScale = std::move(scales);
}

// One plane of one head as complex inner products.
struct Plane {
    Complex st;  // <source, target>
    double ss = 0, tt = 0;
};
Plane planeOf(const HiddenRows& source, std::size_t s, const HiddenRows& target, std::size_t t, std::size_t pairs) {
    const float *a = source.row(s), *b = source.row(s + pairs), *x = target.row(t), *y = target.row(t + pairs);
    const std::size_t w = source.width;
    return {Complex(dot(a, x, w) + dot(b, y, w), dot(a, y, w) - dot(b, x, w)), dot(a, a, w) + dot(b, b, w),
            dot(x, x, w) + dot(y, y, w)};
}

// |t - z s|^2 / |t|^2.
double left(const Plane& plane, Complex z) {
    if (!(plane.tt > 0)) return 0;
    return (plane.tt - 2 * (std::conj(z) * plane.st).real() + std::norm(z) * plane.ss) / plane.tt;
}

void fitTurns(const HiddenShape& shape, const LayerRows& source, const LayerRows& target, bool signsOnly,
              HiddenLayer& layer) {
    const std::size_t n = shape.headDim, pairs = shape.pairs, each = shape.perGroup();
    std::vector<float> turn;
    double without = 0, with = 0;
    for (std::size_t g = 0; g < shape.kvHeads; ++g)
        for (std::size_t k = 0; k < pairs; ++k) {
            const Plane key =
                planeOf(source[HiddenRole::key], layer.kvHeads[g] * n + k, target[HiddenRole::key], g * n + k, pairs);
            Plane query;
            std::vector<Plane> queries;
            for (std::size_t h = g * each; h < (g + 1) * each; ++h) {
                queries.push_back(planeOf(source[HiddenRole::query], layer.heads[h] * n + k, target[HiddenRole::query],
                                          h * n + k, pairs));
                query.st += queries.back().st, query.ss += queries.back().ss, query.tt += queries.back().tt;
            }
            Complex z = 1;
            if (key.ss > 0 && key.tt > 0 && query.ss > 0 && query.tt > 0) {
                const Complex direction = key.st / (std::sqrt(key.ss) * std::sqrt(key.tt)) +
                                          query.st / (std::sqrt(query.ss) * std::sqrt(query.tt));
                const double size =
                    std::sqrt(std::sqrt(key.tt) / std::sqrt(key.ss) * (std::sqrt(query.ss) / std::sqrt(query.tt)));
                if (signsOnly)
                    z = direction.real() < 0 ? -1 : 1;
                else if (std::abs(direction) > 0)
                    z = size * direction / std::abs(direction);
            }
            turn.push_back(static_cast<float>(z.real())), turn.push_back(static_cast<float>(z.imag()));
            without += left(key, 1), with += left(key, z);
            for (const Plane& one : queries) without += left(one, 1), with += left(one, 1.0 / std::conj(z));
        }
    if (helps(with, without, (shape.kvHeads + shape.heads) * pairs)) layer.turn = std::move(turn);
}

// Rows [first, first + n) of both, as the products that least squares needs.
struct Block {
    std::size_t n = 0;
    small::Matrix ss, ts;
    std::vector<double> tt;  // [n]: squares alone
};
small::Matrix products(const HiddenRows& a, std::size_t aFirst, const HiddenRows& b, std::size_t bFirst,
                       std::size_t n) {
    const small::Matrix x = small::widened(std::span(a.value).subspan(aFirst * a.width, n * a.width)),
                        y = small::widened(std::span(b.value).subspan(bFirst * b.width, n * b.width));
    return small::productTransposed(x, y, n, a.width, n);
}
Block blockOf(const HiddenRows& source, std::size_t s, const HiddenRows& target, std::size_t t, std::size_t n) {
    std::vector<double> tt;
    for (std::size_t i = t; i < t + n; ++i) tt.push_back(dot(target.row(i), target.row(i), target.width));
    return {n, products(source, s, source, s, n), products(target, t, source, s, n), std::move(tt)};
}
void add(small::Matrix& sum, const small::Matrix& more) {
    if (sum.empty()) sum.assign(more.size(), 0.0);
    for (std::size_t k = 0; k < more.size(); ++k) sum[k] += more[k];
}

// |t - m s|^2 / |t|^2.
double left(const Block& block, const small::Matrix& m) {
    const std::size_t n = block.n;
    const small::Matrix ms = small::product(m, block.ss, n, n, n);
    double tt = 0, rest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        tt += block.tt[i], rest += block.tt[i];
        for (std::size_t j = 0; j < n; ++j) rest += m[i * n + j] * (ms[i * n + j] - 2 * block.ts[i * n + j]);
    }
    return tt > 0 ? rest / tt : 0;
}

std::optional<small::Matrix> leastSquares(const Block& block) {
    const std::optional<small::Matrix> inverted = small::inverse(block.ss, block.n);
    if (!inverted) return std::nullopt;
    return small::product(block.ts, *inverted, block.n, block.n, block.n);
}

// For every key-value head the matrix M with own_t = M own_s and other_t = M^-T other_s for all the query heads that
// read it: the mean of what the two sides say, whose biases are opposite. Channels [first, first + n) of each head.
// Nothing where it does not help, or where one of them cannot be told.
std::vector<float> fitMatrices(const HiddenShape& shape, const LayerRows& source, const LayerRows& target,
                               HiddenRole own, HiddenRole other, std::size_t first, std::size_t n,
                               const HiddenLayer& layer) {
    const std::size_t each = shape.perGroup();
    std::vector<float> all;
    double without = 0, with = 0;
    for (std::size_t g = 0; g < shape.kvHeads; ++g) {
        const Block direct =
            blockOf(source[own], layer.kvHeads[g] * shape.headDim + first, target[own], g * shape.headDim + first, n);
        Block dual{n, {}, {}, {}};
        for (std::size_t h = g * each; h < (g + 1) * each; ++h) {
            const Block one = blockOf(source[other], layer.heads[h] * shape.headDim + first, target[other],
                                      h * shape.headDim + first, n);
            add(dual.ss, one.ss), add(dual.ts, one.ts), add(dual.tt, one.tt);
        }
        std::optional<small::Matrix> m = leastSquares(direct), back = leastSquares(dual);
        if (back) back = small::inverse(small::transpose(*back, n), n);
        if (!m || !back) return {};
        for (std::size_t k = 0; k < m->size(); ++k) (*m)[k] = ((*m)[k] + (*back)[k]) / 2;
        const std::optional<small::Matrix> inverted = small::inverse(*m, n);
        if (!inverted) return {};
        without += left(direct, small::identity(n)) + left(dual, small::identity(n));
        with += left(direct, *m) + left(dual, small::transpose(*inverted, n));
        const std::vector<float> narrow = small::narrowed(*m);
        all.insert(all.end(), narrow.begin(), narrow.end());
    }
    // n numbers are fitted to each row of `own`: of noise, they explain n / width.
    const double fitted = static_cast<double>(n) / static_cast<double>(source[own].width);
    return helps(with, without, 2 * shape.kvHeads, std::max(clearly - fitted, 1 - clearly)) ? all
                                                                                            : std::vector<float>();
}

}  // namespace

void fitContinuous(const HiddenShape& shape, const LayerRows& source, const LayerRows& target, bool headNorms,
                   HiddenLayer& layer) {
    fitNeuronScales(source, target, layer);
    fitTurns(shape, source, target, headNorms, layer);
    if (shape.free() > 0 && !headNorms)
        layer.freeKeys = fitMatrices(shape, source, target, HiddenRole::key, HiddenRole::query, 2 * shape.pairs,
                                     shape.free(), layer);
    layer.value = fitMatrices(shape, source, target, HiddenRole::value, HiddenRole::output, 0, shape.headDim, layer);
}

std::vector<double> movedRows(const HiddenShape& shape, const HiddenLayer& layer, HiddenRole role,
                              const HiddenRows& rows) {
    const UnitMap map = unitMap(shape, layer, role);
    const std::size_t size = map.unit * rows.width;
    std::vector<double> result;
    result.reserve(rows.value.size());
    for (std::size_t u = 0; u < map.from.size(); ++u) {
        small::Matrix part = small::widened(std::span(rows.value).subspan(map.from[u] * size, size));
        if (!map.matrices.empty()) part = small::product(map.matrix(u), part, map.unit, map.unit, rows.width);
        const double scale = map.scale.empty() ? 1 : map.scale[u];
        for (const double value : part) result.push_back(scale * value);
    }
    return result;
}

Explained explainedBy(const HiddenShape& shape, const HiddenLayer& layer, const LayerRows& source,
                      const LayerRows& target) {
    Explained all;
    for (const HiddenRole role : hiddenRoles) {
        const std::vector<double> moved = movedRows(shape, layer, role, source[role]);
        const std::vector<float>& wanted = target[role].value;
        double tt = 0, ss = 0, ts = 0;
        for (std::size_t k = 0; k < moved.size(); ++k) {
            const double t = wanted[k];
            tt += t * t, ss += moved[k] * moved[k], ts += t * moved[k];
        }
        all.total += tt;
        if (ts > 0) all.explained += ts / ss * ts;
    }
    return all;
}

}  // namespace regauge

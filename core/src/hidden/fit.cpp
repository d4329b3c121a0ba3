#include "hidden/fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <optional>
#include <utility>

#include "hidden/small_matrix.hpp"

namespace regauge {
namespace {

using Complex = std::complex<double>;

// A fit must be worth at least this on channels that it has not seen, as a ratio of odds, explained to unexplained,
// with it and without: places and signs move bits, while scales and matrices round. Of near copies the rest falls by a
// tenth, of models that went far from one another what is explained rises by a tenth.
constexpr double clearly = 1.1;

double dot(const float* a, const float* b, std::size_t n) {
    double sum = 0;
    for (std::size_t k = 0; k < n; ++k) sum += static_cast<double>(a[k]) * b[k];
    return sum;
}
double square(const HiddenRows& rows, std::size_t i) { return dot(rows.row(i), rows.row(i), rows.width); }

// The scale of a unit whose weights on one side are multiplied by it and on the other divided: by norms alone, which
// drift and noise make no smaller on the whole, as they do what least squares find. 1 where a side has none.
double balanced(double tt, double ss, double dualTt, double dualSs) {
    if (!(tt > 0 && ss > 0 && dualTt > 0 && dualSs > 0)) return 1;
    return std::sqrt(std::sqrt(tt / ss) * std::sqrt(dualSs / dualTt));
}

// Squares of a neuron's rows on the side that is multiplied and on the one that is divided.
struct Squares {
    double tt = 0, ss = 0, dualTt = 0, dualSs = 0;
    void add(const Squares& more) { tt += more.tt, ss += more.ss, dualTt += more.dualTt, dualSs += more.dualSs; }
};
std::vector<Squares> neuronSums(const HiddenLayer& layer, const LayerRows& source, const LayerRows& target) {
    std::vector<Squares> sums;
    for (std::size_t i = 0; i < layer.neurons.size(); ++i) {
        const std::size_t j = layer.neurons[i];
        sums.push_back({square(target[HiddenRole::up], i), square(source[HiddenRole::up], j),
                        square(target[HiddenRole::down], i), square(source[HiddenRole::down], j)});
    }
    return sums;
}
std::vector<float> neuronScales(const std::vector<Squares>& sums) {
    std::vector<float> scales;
    for (const Squares& one : sums)
        scales.push_back(static_cast<float>(balanced(one.tt, one.ss, one.dualTt, one.dualSs)));
    return scales;
}

// One plane of one or more heads as complex inner products.
struct Plane {
    Complex st;  // <source, target>
    double ss = 0, tt = 0;
    void add(const Plane& more) { st += more.st, ss += more.ss, tt += more.tt; }
    // The turn that it speaks for, of size |cosine|.
    Complex direction() const { return st / (std::sqrt(ss) * std::sqrt(tt)); }
};
Plane planeOf(const HiddenRows& source, std::size_t s, const HiddenRows& target, std::size_t t, std::size_t pairs) {
    const float *a = source.row(s), *b = source.row(s + pairs), *x = target.row(t), *y = target.row(t + pairs);
    const std::size_t w = source.width;
    return {Complex(dot(a, x, w) + dot(b, y, w), dot(a, y, w) - dot(b, x, w)), dot(a, a, w) + dot(b, b, w),
            dot(x, x, w) + dot(y, y, w)};
}

// A plane of a key-value head and of the query heads that read it.
struct Planes {
    Plane key, query;
    void add(const Planes& more) { key.add(more.key), query.add(more.query); }
};
std::vector<Planes> planeSums(const HiddenShape& shape, const HiddenLayer& layer, const LayerRows& source,
                              const LayerRows& target) {
    const std::size_t n = shape.headDim, pairs = shape.pairs, each = shape.perGroup();
    std::vector<Planes> sums;
    for (std::size_t g = 0; g < shape.kvHeads; ++g)
        for (std::size_t k = 0; k < pairs; ++k) {
            Planes one;
            one.key =
                planeOf(source[HiddenRole::key], layer.kvHeads[g] * n + k, target[HiddenRole::key], g * n + k, pairs);
            for (std::size_t h = g * each; h < (g + 1) * each; ++h)
                one.query.add(planeOf(source[HiddenRole::query], layer.heads[h] * n + k, target[HiddenRole::query],
                                      h * n + k, pairs));
            sums.push_back(one);
        }
    return sums;
}
std::vector<float> turns(const std::vector<Planes>& sums, bool signsOnly) {
    std::vector<float> turn;
    for (const auto& [key, query] : sums) {
        Complex z = 1;
        if (key.ss > 0 && key.tt > 0 && query.ss > 0 && query.tt > 0) {
            const Complex direction = key.direction() + query.direction();
            if (signsOnly)
                z = direction.real() < 0 ? -1 : 1;
            else if (std::abs(direction) > 0)
                z = balanced(key.tt, key.ss, query.tt, query.ss) * direction / std::abs(direction);
        }
        turn.push_back(static_cast<float>(z.real())), turn.push_back(static_cast<float>(z.imag()));
    }
    return turn;
}

// Of n rows of both: the products that least squares needs.
struct Block {
    std::size_t n = 0;
    small::Matrix ss, ts;
    double tt = 0;  // all squares
    void add(const Block& more) {
        if (n == 0) n = more.n, ss.assign(n * n, 0.0), ts.assign(n * n, 0.0);
        for (std::size_t k = 0; k < n * n; ++k) ss[k] += more.ss[k], ts[k] += more.ts[k];
        tt += more.tt;
    }
};
Block blockOf(const HiddenRows& source, std::size_t s, const HiddenRows& target, std::size_t t, std::size_t n) {
    const auto wide = [n](const HiddenRows& rows, std::size_t first) {
        return small::widened(std::span(rows.value).subspan(first * rows.width, n * rows.width));
    };
    const small::Matrix x = wide(source, s), y = wide(target, t);
    Block block{n, small::productTransposed(x, x, n, source.width, n),
                small::productTransposed(y, x, n, source.width, n)};
    for (std::size_t i = t; i < t + n; ++i) block.tt += square(target, i);
    return block;
}

std::optional<small::Matrix> leastSquares(const Block& block) {
    const std::optional<small::Matrix> inverted = small::inverse(block.ss, block.n);
    if (!inverted) return std::nullopt;
    return small::product(block.ts, *inverted, block.n, block.n, block.n);
}

// The squares of m times the source's rows.
double movedSquares(const small::Matrix& m, const Block& block) {
    const small::Matrix ms = small::product(m, block.ss, block.n, block.n, block.n);
    double sum = 0;
    for (std::size_t k = 0; k < m.size(); ++k) sum += m[k] * ms[k];
    return sum;
}

// The matrix m with direct's target = m source and dual's target = m^-T source: the mean of what the two sides say,
// whose biases are opposite, and then the size that the norms say. Nothing where one of them cannot be told.
std::optional<small::Matrix> matrixOf(const Block& direct, const Block& dual) {
    const std::size_t n = direct.n;
    std::optional<small::Matrix> m = leastSquares(direct), back = leastSquares(dual);
    if (back) back = small::inverse(small::transpose(*back, n), n);
    if (!m || !back) return std::nullopt;
    for (std::size_t k = 0; k < m->size(); ++k) (*m)[k] = ((*m)[k] + (*back)[k]) / 2;
    const std::optional<small::Matrix> inverted = small::inverse(*m, n);
    if (!inverted) return std::nullopt;
    const double size =
        balanced(direct.tt, movedSquares(*m, direct), dual.tt, movedSquares(small::transpose(*inverted, n), dual));
    for (double& entry : *m) entry *= size;
    return m;
}

// A key-value head's rows of one role, and the rows of another of all the query heads that read it.
struct Blocks {
    Block direct, dual;
    void add(const Blocks& more) { direct.add(more.direct), dual.add(more.dual); }
};
// Channels [first, first + n) of each head.
std::vector<Blocks> blockSums(const HiddenShape& shape, const HiddenLayer& layer, const LayerRows& source,
                              const LayerRows& target, HiddenRole own, HiddenRole other, std::size_t first,
                              std::size_t n) {
    const std::size_t each = shape.perGroup();
    std::vector<Blocks> sums;
    for (std::size_t g = 0; g < shape.kvHeads; ++g) {
        const auto block = [&](HiddenRole role, std::size_t s, std::size_t t) {
            return blockOf(source[role], s * shape.headDim + first, target[role], t * shape.headDim + first, n);
        };
        Blocks one{block(own, layer.kvHeads[g], g), {}};
        for (std::size_t h = g * each; h < (g + 1) * each; ++h) one.dual.add(block(other, layer.heads[h], h));
        sums.push_back(std::move(one));
    }
    return sums;
}
// A matrix for every key-value head, one after the other; nothing where one of them cannot be told.
std::vector<float> matrices(const std::vector<Blocks>& sums) {
    std::vector<float> all;
    for (const auto& [direct, dual] : sums) {
        const std::optional<small::Matrix> m = matrixOf(direct, dual);
        if (!m) return {};
        const std::vector<float> narrow = small::narrowed(*m);
        all.insert(all.end(), narrow.begin(), narrow.end());
    }
    return all;
}

using Roles = std::array<HiddenRole, 2>;

// A quarter of the stream's channels, of two roles.
constexpr std::size_t folds = 4;
LayerRows fold(const LayerRows& rows, const Roles& roles, std::size_t which) {
    LayerRows part;
    for (const HiddenRole role : roles) {
        const HiddenRows& all = rows[role];
        HiddenRows& to = part.of[static_cast<std::size_t>(role)];
        to.rows = all.rows;
        for (std::size_t i = 0; i < all.rows; ++i)
            for (std::size_t k = which; k < all.width; k += folds) to.value.push_back(all.row(i)[k]);
        to.width = all.rows > 0 ? to.value.size() / all.rows : 0;
    }
    return part;
}

// Squares of the target's rows of a role: of all, and of what the source's, moved and all made larger or smaller by one
// factor, leave.
struct Rest {
    double total = 0, rest = 0;
};
Rest restOf(const HiddenShape& shape, const HiddenLayer& layer, HiddenRole role, const LayerRows& source,
            const LayerRows& target) {
    const std::vector<double> moved = movedRows(shape, layer, role, source[role]);
    const std::vector<float>& wanted = target[role].value;
    double ss = 0, ts = 0;
    for (std::size_t k = 0; k < moved.size(); ++k) ss += moved[k] * moved[k], ts += moved[k] * wanted[k];
    const double factor = ss > 0 ? std::max(ts / ss, 0.0) : 0;  // a negative one explains nothing
    Rest all;
    for (std::size_t k = 0; k < moved.size(); ++k) {
        const double t = wanted[k], rest = t - factor * moved[k];
        all.total += t * t, all.rest += rest * rest;
    }
    return all;
}

// Sets a part of the layer to what is fitted, where the fit to three quarters of the channels helps on the fourth.
// sumsOf(source, target): what fit() needs of so many channels, to be added up.
template <class SumsOf, class Fit>
void setWhereItHelps(std::vector<float> HiddenLayer::*part, const Roles& roles, const HiddenShape& shape,
                     const LayerRows& source, const LayerRows& target, HiddenLayer& layer, const SumsOf& sumsOf,
                     const Fit& fit) {
    std::array<decltype(sumsOf(source, target)), folds> sums;
    for (std::size_t k = 0; k < folds; ++k) sums[k] = sumsOf(fold(source, roles, k), fold(target, roles, k));
    const auto fitWithout = [&](std::size_t left) {
        auto all = sums[left == 0 ? 1 : 0];
        for (std::size_t k = left == 0 ? 2 : 1; k < folds; ++k)
            for (std::size_t i = 0; k != left && i < all.size(); ++i) all[i].add(sums[k][i]);
        return fit(all);
    };
    double without = 0, with = 0, total = 0;
    for (std::size_t k = 0; k < folds; ++k) {
        HiddenLayer fitted = layer;
        fitted.*part = fitWithout(k);
        if ((fitted.*part).empty()) return;
        const LayerRows a = fold(source, roles, k), b = fold(target, roles, k);
        for (const HiddenRole role : roles) {
            const Rest one = restOf(shape, layer, role, a, b);
            if (!(one.total > 0)) return;
            without += one.rest / one.total;
            with += restOf(shape, fitted, role, a, b).rest / one.total;
            total += 1;
        }
    }
    if ((total - with) * without > clearly * (total - without) * with) layer.*part = fitWithout(folds);
}

}  // namespace

void fitContinuous(const HiddenShape& shape, const LayerRows& source, const LayerRows& target, bool headNorms,
                   HiddenLayer& layer) {
    using Rows = const LayerRows&;
    const auto set = [&](std::vector<float> HiddenLayer::*part, const Roles& roles, const auto& sumsOf,
                         const auto& fit) { setWhereItHelps(part, roles, shape, source, target, layer, sumsOf, fit); };
    const auto setMatrices = [&](std::vector<float> HiddenLayer::*part, HiddenRole own, HiddenRole other,
                                 std::size_t first, std::size_t n) {
        set(
            part, {own, other}, [&](Rows a, Rows b) { return blockSums(shape, layer, a, b, own, other, first, n); },
            matrices);
    };
    set(
        &HiddenLayer::neuronScale, {HiddenRole::up, HiddenRole::down},
        [&](Rows a, Rows b) { return neuronSums(layer, a, b); }, neuronScales);
    set(
        &HiddenLayer::turn, {HiddenRole::key, HiddenRole::query},
        [&](Rows a, Rows b) { return planeSums(shape, layer, a, b); },
        [&](const std::vector<Planes>& sums) { return turns(sums, headNorms); });
    if (shape.free() > 0 && !headNorms)
        setMatrices(&HiddenLayer::freeKeys, HiddenRole::key, HiddenRole::query, 2 * shape.pairs, shape.free());
    setMatrices(&HiddenLayer::value, HiddenRole::value, HiddenRole::output, 0, shape.headDim);
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
        const Rest one = restOf(shape, layer, role, source, target);
        all.total += one.total, all.explained += one.total - one.rest;
    }
    return all;
}

}  // namespace regauge

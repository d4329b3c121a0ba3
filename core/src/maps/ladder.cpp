#include "maps/ladder.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace regauge {
namespace {

constexpr int coarseStep = 3;  // powers of 4 from one penalty that is tried to the next, on the way to the best
// So many of the target's channels at most, at even distances, choose among the penalties.
constexpr std::size_t judges = 64;

}  // namespace

Sides Sides::exchanged() const {
    return {{regauge::exchanged(half[0]), regauge::exchanged(half[1])}, regauge::exchanged(all)};
}

double penaltyOf(const Moments& moments, double relative) {
    double trace = 0;
    for (std::size_t j = 0; j < moments.dx(); ++j) trace += moments.xx[j * moments.dx() + j];
    const double mean = trace / static_cast<double>(moments.dx());
    return relative * (mean > 0 ? mean : 1);
}

Rung Ladder::mean() const {
    Rung result{MapFamily::identity, {fitMean(sides_.half[0]), fitMean(sides_.half[1])}, {}, {}, 0};
    for (std::size_t k = 0; k < 2; ++k) {
        result.image[k].assign(result.half[k].m.size(), 0.0);  // m = 0
        result.held.add(residuals(result.half[k], sides_.half[1 - k], result.image[k]));
    }
    return result;
}

void Ladder::judge(Rung& rung) const {
    for (std::size_t k = 0; k < 2; ++k) {
        const Moments& rows = sides_.half[1 - k];
        rung.image[k] = imageOf(rung.half[k], rows, threads_);
        rung.held.add(residuals(rung.half[k], rows, rung.image[k]));
    }
}

double Ladder::errorAt(int power, std::span<const std::size_t> targets) const {
    double sum = 0;
    for (std::size_t k = 0; k < 2; ++k) {
        const Moments &fit = sides_.half[k], &rows = sides_.half[1 - k];
        const Fitted fitted = fitAffine(fit, penaltyOf(fit, std::ldexp(1.0, 2 * power)), threads_, progress_, targets);
        for (const double error : residuals(fitted, rows, imageOf(fitted, rows, threads_), targets).errors)
            sum += error;
    }
    return sum;
}

// From the middle down or up in coarse steps, then in single ones.
int Ladder::chosenPower() const {
    std::vector<std::size_t> targets(std::min(judges, sides_.all.dy()));
    for (std::size_t k = 0; k < targets.size(); ++k) targets[k] = k * sides_.all.dy() / targets.size();
    std::map<int, double> known;
    const auto errorOf = [&](int power) {
        const auto [entry, isNew] = known.try_emplace(power, 0.0);
        if (isNew) entry->second = errorAt(power, targets);
        return entry->second;
    };
    int best = (largestPower + smallestPower) / 2;
    for (const int step : {coarseStep, 1})
        for (const int direction : {-step, step})
            while (best + direction >= smallestPower && best + direction <= largestPower &&
                   errorOf(best + direction) < errorOf(best))
                best += direction;
    return best;
}

Rung Ladder::affine(std::optional<double> ridge) const {
    const int power = ridge ? 0 : chosenPower();
    const auto ofRows = [&](const Moments& moments) {
        if (!ridge) return penaltyOf(moments, std::ldexp(1.0, 2 * power));
        return *ridge * static_cast<double>(moments.rows) / static_cast<double>(sides_.all.rows);
    };
    Rung result = rung(MapFamily::affine, [&](std::size_t k) {
        return fitAffine(sides_.half[k], ofRows(sides_.half[k]), threads_, progress_);
    });
    result.ridge = ofRows(sides_.all);
    return result;
}

double Ladder::standardError(const Rung& a, const Rung& b) const {
    if (&a == &b) return 0;
    std::vector<double> apart(sides_.all.dy(), 0.0);
    for (std::size_t k = 0; k < 2; ++k) {
        const std::vector<double> more = difference(a.half[k], a.image[k], b.half[k], b.image[k], sides_.half[1 - k]);
        std::ranges::transform(apart, more, apart.begin(), std::plus{});
    }
    double sum = 0;
    for (std::size_t i = 0; i < apart.size(); ++i) {  // e_a^2 - e_b^2 = u v, u = e_a - e_b, v = e_a + e_b
        const double uu = apart[i], uv = a.held.errors[i] - b.held.errors[i];
        const double vv = std::max(0.0, 2 * (a.held.errors[i] + b.held.errors[i]) - uu);
        sum += std::sqrt(uu * vv + uv * uv);
    }
    return sum / std::sqrt(static_cast<double>(a.held.rows));
}

}  // namespace regauge

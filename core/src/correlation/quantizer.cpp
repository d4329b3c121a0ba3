// Fitting a quantizer. Every step commutes with signed permutations to the bit: channels are handled one by one, and
// the only thing that mixes them, a row's norm, is a sum of integers (rows.hpp).
#include <algorithm>
#include <cmath>
#include <limits>

#include "correlation/float_rows.hpp"
#include "kernels/panel.hpp"
#include "regauge/correlation.hpp"

namespace regauge {
namespace {

// Enough for a standard deviation within 2 %, and the step is only a power of two. More rows than this are sampled at
// even distances, because a file's first rows may be unlike the rest (an embedding's unused tokens).
constexpr std::size_t mostRows = 2048;

// A row is massive from this multiple of the upper quartile of the norms. The quartile, not the median, so that a table
// half of whose rows are unused and small keeps the other half. BOS rows and attention sinks stand 20 to 1000 times
// above the rest, ordinary rows at most 3 times, and even Student t(3) rows rarely reach 8.
constexpr double massive = 8;

// The same from fewer multiples, and of up to half of all rows (prompts of two to four tokens, each with its BOS),
// where the norms show a gap: by this factor between neighbours in size, above so many medians of the rows below it,
// and the rows above point one way, as BOS rows do and the rows of used tokens above those of unused ones do not: the
// mean of their directions is so long. At some depths of a real LLM BOS rows stand only 7 times above the rest.
constexpr double gap = 2, aboveMedians = 4, oneWay = 0.7;

// The middle of the widest gap in the upper half of the norms [sorted], or infinity where there is none.
double gapIn(const std::vector<double>& norms) {
    double widest = gap;
    std::size_t above = 0;
    for (std::size_t k = (norms.size() + 1) / 2; k < norms.size(); ++k)
        if (norms[k] >= widest * norms[k - 1]) widest = norms[k] / norms[k - 1], above = k;
    if (above == 0 || norms[above] < aboveMedians * norms[above / 2]) return std::numeric_limits<double>::infinity();
    return std::sqrt(norms[above] * norms[above - 1]);
}

// rowOf(sample): a row whose norm is norms[sample].
template <class RowOf>
double limitFrom(const std::vector<double>& norms, std::size_t d, RowOf&& rowOf) {
    std::vector<double> sorted = norms;
    std::erase(sorted, 0.0);
    if (sorted.empty()) return 0;
    std::ranges::sort(sorted);
    const double limit = massive * sorted[sorted.size() * 3 / 4], middle = gapIn(sorted);
    if (middle >= limit) return limit;
    std::vector<double> direction(d, 0.0);
    double rows = 0;
    for (std::size_t sample = 0; sample < norms.size(); ++sample) {
        if (norms[sample] <= middle) continue;
        const std::span<const float> row = rowOf(sample);
        for (std::size_t j = 0; j < d; ++j) direction[j] += static_cast<double>(row[j]) / norms[sample];
        ++rows;
    }
    const std::vector<float> sum(direction.begin(), direction.end());
    return rowNorm(sum) >= oneWay * rows ? middle : limit;
}

// The smallest power of two of which `limit` cover 4 standard deviations (so fewer than 8), kept where it and its
// inverse are ordinary floats.
float stepFor(double deviation, int limit) {
    int exponent = 0;
    const double fraction = std::frexp(4 * deviation / limit, &exponent);  // in [0.5, 1)
    if (fraction == 0.5) --exponent;
    return std::ldexp(1.0f, std::clamp(exponent, -126, 126));
}

}  // namespace

int limitOf(Resolution resolution) {
    return resolution == Resolution::fine ? kernels::fineLimit : kernels::coarseLimit;
}

Quantizer fitQuantizer(const RowsView& rows, const std::string& where, Resolution resolution) {
    requireFloatRows(rows, where);
    const std::size_t d = rows.d;
    const std::size_t count = std::min(rows.rows, mostRows);
    std::vector<float> room(d);
    const auto indexOf = [&](std::size_t sample) { return sample * rows.rows / count; };
    const auto rowOf = [&](std::size_t sample) { return rowAsFloats(rows, indexOf(sample), room); };

    std::vector<double> norms(count);
    for (std::size_t sample = 0; sample < count; ++sample) {
        const std::span<const float> row = rowOf(sample);
        if (const auto column = firstNotFinite(row)) throwNotFinite(where, indexOf(sample), *column, row[*column]);
        norms[sample] = rowNorm(row);
    }
    Quantizer fit;
    fit.limit = limitOf(resolution);
    fit.rowLimit = limitFrom(norms, d, rowOf);

    std::size_t kept = 0;
    std::vector<double> mean(d, 0.0);
    std::vector<float> lowest(d, std::numeric_limits<float>::infinity());
    std::vector<float> highest(d, -std::numeric_limits<float>::infinity());
    for (std::size_t sample = 0; sample < count; ++sample) {
        if (norms[sample] > fit.rowLimit) continue;
        const std::span<const float> row = rowOf(sample);
        ++kept;
        for (std::size_t j = 0; j < d; ++j) {
            mean[j] += static_cast<double>(row[j]);
            lowest[j] = std::min(lowest[j], row[j]);
            highest[j] = std::max(highest[j], row[j]);
        }
    }
    const double rowsKept = static_cast<double>(std::max<std::size_t>(kept, 1));
    for (double& value : mean) value /= rowsKept;

    std::vector<double> squares(d, 0.0);
    for (std::size_t sample = 0; sample < count; ++sample) {
        if (norms[sample] > fit.rowLimit) continue;
        const std::span<const float> row = rowOf(sample);
        for (std::size_t j = 0; j < d; ++j) {
            const double distance = static_cast<double>(row[j]) - mean[j];
            squares[j] += distance * distance;
        }
    }

    fit.centre.resize(d);
    fit.step.resize(d);
    for (std::size_t j = 0; j < d; ++j) {
        const bool constant = !(lowest[j] < highest[j]);
        fit.centre[j] = constant ? 0.0f : static_cast<float>(mean[j]);
        fit.step[j] = constant ? 0.0f : stepFor(std::sqrt(squares[j] / rowsKept), fit.limit);
    }
    return fit;
}

}  // namespace regauge

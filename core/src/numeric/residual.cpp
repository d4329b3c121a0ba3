#include "numeric/residual.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "numeric/linalg.hpp"

namespace regauge {
namespace {

constexpr double resolution = 1e-4;  // of the sums, as a share of a channel's variance: added to what is left of it
constexpr double strongest = 0.999;  // keeps the rest of a perfect copy positive

// log2 of the product of the diagonal, without a logarithm of each: exact scaling, and one logarithm at the end.
double logOfProduct(std::span<const double> matrix, std::size_t d) {
    double mantissa = 1;
    long exponent = 0;
    for (std::size_t i = 0; i < d; ++i) {
        int shift = 0;
        mantissa = std::frexp(mantissa * matrix[i * d + i], &shift);
        exponent += shift;
    }
    return static_cast<double>(exponent) + std::log2(mantissa);
}

}  // namespace

double unexplained(std::span<const float> cross, const Symmetric& gramX, const Symmetric& gramY, const Gauge* gauge,
                   unsigned threads) {
    const std::size_t d = gramY.d();
    std::vector<double> rest(d * d);  // its lower triangle
    for (std::size_t i = 0; i < d; ++i) std::copy_n(gramY.lower(i), i + 1, &rest[i * d]);
    if (gauge != nullptr) {
        const std::vector<std::uint32_t>& perm = gauge->perm();
        std::vector<double> sign(d), slope(d);
        for (std::size_t i = 0; i < d; ++i) {
            sign[i] = gauge->sign()[i] < 0 ? -1 : 1;
            slope[i] = std::clamp(sign[i] * static_cast<double>(cross[i * d + perm[i]]), -strongest, strongest);
        }
        for (std::size_t i = 0; i < d; ++i)
            for (std::size_t k = 0; k <= i; ++k) {
                const double ofI = sign[i] * static_cast<double>(cross[k * d + perm[i]]),
                             ofK = sign[k] * static_cast<double>(cross[i * d + perm[k]]);
                const double both =
                    sign[i] * sign[k] *
                    static_cast<double>(gramX.lower(std::max(perm[i], perm[k]))[std::min(perm[i], perm[k])]);
                rest[i * d + k] += slope[i] * slope[k] * both - (slope[i] * ofI + slope[k] * ofK);
            }
    }
    for (std::size_t i = 0; i < d; ++i) rest[i * d + i] += resolution;
    if (!choleskyInPlace(rest.data(), d, threads)) return std::numeric_limits<double>::infinity();
    return 2 * logOfProduct(rest, d) / static_cast<double>(std::max<std::size_t>(d, 1));
}

}  // namespace regauge

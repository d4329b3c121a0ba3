#include "numeric/portable_exp.hpp"

#include <cmath>

namespace regauge {

double portableExp(double x) {
    constexpr int kept = 32;  // bits
    int exponent = 0;
    const double mantissa = std::frexp(std::exp(x), &exponent);
    return std::ldexp(std::round(std::ldexp(mantissa, kept)), exponent - kept);
}

}  // namespace regauge

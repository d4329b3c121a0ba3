#include "io/number_text.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace regauge {
namespace {

template <class Float>
std::string text(Float value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    char buffer[64];
    std::string digits(buffer, nlohmann::detail::to_chars(buffer, buffer + sizeof buffer, value));  // Grisu2
    if (digits.ends_with(".0")) digits.resize(digits.size() - 2);
    return digits;
}

}  // namespace

std::string numberText(double value) { return text(value); }
std::string numberText(float value) { return text(value); }

}  // namespace regauge

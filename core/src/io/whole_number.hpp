// Whole numbers in JSON, which has them with and without a sign.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace regauge {

// Whether a value is a whole number within [low, high]; one above 2^63 is, and is not taken for a negative one. So is
// 2.0, which JavaScript cannot tell from 2.
inline bool isWholeNumber(const nlohmann::json& value, std::int64_t low, std::int64_t high) {
    if (value.is_number_float()) {
        const auto number = value.get<double>();
        return number == std::floor(number) && number >= static_cast<double>(low) &&
               number <= static_cast<double>(high);
    }
    if (!value.is_number_integer()) return false;
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) return false;
    const auto number = value.get<std::int64_t>();
    return number >= low && number <= high;
}

}  // namespace regauge

// Whole numbers in JSON, which has them with and without a sign.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

namespace regauge {

// Whether a value is a whole number within [low, high]; one above 2^63 is, and is not taken for a negative one.
inline bool isWholeNumber(const nlohmann::json& value, std::int64_t low, std::int64_t high) {
    if (!value.is_number_integer()) return false;
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) return false;
    const auto number = value.get<std::int64_t>();
    return number >= low && number <= high;
}

}  // namespace regauge

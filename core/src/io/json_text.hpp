// JSON as people's files have it: after a byte order mark, as editors on Windows write one, and with NaN and Infinity,
// as Python writes them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace regauge {

// How many bytes of a byte order mark the text begins with: 3 or 0.
std::size_t byteOrderMark(std::string_view text);

// The text without its byte order mark, and with null for NaN, Infinity and -Infinity: a key that nobody asks about is
// no obstacle.
std::string strictJson(std::string_view text);

// The value of the text, read so; discarded where it is no JSON.
nlohmann::json parseJson(std::string_view text);

}  // namespace regauge

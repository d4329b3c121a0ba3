// JSON as people's files have it: after a byte order mark, as editors on Windows write one, and with NaN and Infinity,
// as Python writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "regauge/io/byte_source.hpp"

namespace regauge {

// How many bytes of a byte order mark the text begins with: 3 or 0.
std::size_t byteOrderMark(std::string_view text);

// The text without its byte order mark, and with null for NaN, Infinity and -Infinity: a key that nobody asks about is
// no obstacle.
std::string strictJson(std::string_view text);

// What a JSON text may hold at most, so that no reader of it overflows the stack or the memory: levels of lists and
// objects in one another (configurations nest about 6 deep), and values in all, each weighed by what it takes in
// memory, in units of 16 bytes: a number 1, a list or object 4, a member of an object 8. That is 8 million numbers, or
// a million members.
constexpr std::size_t deepestJson = 64, heaviestJson = std::size_t{8} << 20;
// A gauge may hold more numbers, though no more lists and members: the hidden part of a model of 70 billion parameters
// that has a key for every query is 95 million (80 layers of 64 matrices of 128 x 128 and of 22016 neurons). A number
// takes at most 16 characters, "-1.23456789e-05,".
constexpr std::size_t mostGaugeNumbers = std::size_t{128} << 20;
constexpr std::uint64_t largestGaugeFile = std::uint64_t{16} * mostGaugeNumbers;  // bytes

// Bytes of any other JSON file. The longest real ones are tokenizers: Gemma's, of 262,144 tokens, has 33 MB.
constexpr std::uint64_t largestJsonFile = std::uint64_t{64} << 20;
// The text of such a file, whole; what: "a configuration", for the message. Throws Error(tooLarge).
std::string readJsonText(const ByteSource& source, std::string_view what);

// Throws Error(tooLarge) where the text, at `where`, goes beyond these; mostNumbers: of lists.
void requireModestJson(std::string_view text, const std::string& where, std::size_t mostNumbers = heaviestJson);

// The value of the text, read so; discarded where it is no JSON. Throws as requireModestJson does.
nlohmann::json parseJson(std::string_view text, const std::string& where, std::size_t mostNumbers = heaviestJson);

// A value as a message shows it: its text, cut short where it is longer than 40 bytes.
std::string shownJson(const nlohmann::json& value);

// The text of a value on one line. Names need not be UTF-8: what is not becomes U+FFFD.
std::string jsonText(const nlohmann::ordered_json& json);

}  // namespace regauge

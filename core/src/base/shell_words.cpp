#include "base/shell_words.hpp"

#include <algorithm>
#include <string_view>

namespace regauge {

std::string inQuotes(const std::string& text) {
    std::string safe;
    for (const char letter : text) safe += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
    return "'" + safe + "'";
}

std::string shellWord(const std::string& text) {
    constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:+,@%=";
    if (text.starts_with('-')) return shellWord("./" + text);
    const bool safe = std::ranges::all_of(text, [&](char letter) { return plain.find(letter) != plain.npos; });
    return safe && !text.empty() ? text : inQuotes(text);
}

}  // namespace regauge

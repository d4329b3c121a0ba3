// Lists of names in messages.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace regauge {

// "a, b, c and 4 more": the first `most` of them.
inline std::string shortList(const std::vector<std::string>& words, std::size_t most = 8) {
    std::string text;
    for (std::size_t i = 0; i < std::min(words.size(), most); ++i) text += (i == 0 ? "" : ", ") + words[i];
    return words.size() > most ? text + " and " + std::to_string(words.size() - most) + " more" : text;
}

}  // namespace regauge

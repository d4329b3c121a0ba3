#include "recipes/name_pattern.hpp"

namespace regauge {
namespace {

// Real names have at most about 200 bytes; longer ones fit no pattern, so that matching stays linear in a file's bytes:
// a pattern with two open ends takes the square of a name's length.
constexpr std::size_t longestName = 512;

bool isDigit(char c) { return c >= '0' && c <= '9'; }

// How many characters a placeholder may take: at least `least`, at most `most`.
struct Reach {
    std::size_t least = 0, most = 0;
};

Reach reachOf(std::string_view placeholder, std::string_view name) {
    std::size_t most = 0;
    if (placeholder == "l" || placeholder == "e") {
        while (most < name.size() && isDigit(name[most])) ++most;
        return {1, most};
    }
    if (placeholder == "word") {
        while (most < name.size() && name[most] != '.') ++most;
        return {1, most};
    }
    return {0, name.size()};
}

}  // namespace

std::optional<std::string_view> matchName(std::string_view pattern, std::string_view name) {
    if (name.size() > longestName) return std::nullopt;
    while (!pattern.empty() && pattern.front() != '{') {
        if (name.empty() || name.front() != pattern.front()) return std::nullopt;
        pattern.remove_prefix(1);
        name.remove_prefix(1);
    }
    if (pattern.empty()) return name.empty() ? std::optional<std::string_view>("") : std::nullopt;
    const std::size_t close = pattern.find('}');
    const std::string_view placeholder = pattern.substr(1, close - 1), rest = pattern.substr(close + 1);
    const Reach reach = reachOf(placeholder, name);
    for (std::size_t taken = reach.most + 1; taken-- > reach.least;) {
        const auto matched = matchName(rest, name.substr(taken));
        if (matched) return placeholder == "module" ? name.substr(0, taken) : *matched;
    }
    return std::nullopt;
}

}  // namespace regauge

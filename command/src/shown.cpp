#include "shown.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace regauge {
namespace {

struct Letter {
    std::uint32_t code = 0;
    std::size_t bytes = 0;  // 0: no UTF-8
};

// The UTF-8 letter that the text begins with.
Letter firstOf(std::string_view text) {
    const auto byte = [&](std::size_t k) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[k])); };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    const std::size_t bytes = lead >= 0xF0 && lead < 0xF5   ? 4
                              : lead >= 0xE0 && lead < 0xF0 ? 3
                              : lead >= 0xC2 && lead < 0xE0 ? 2
                                                            : 0;
    if (bytes == 0 || bytes > text.size()) return {};
    std::uint32_t code = lead & (0xFFU >> (bytes + 1));
    for (std::size_t k = 1; k < bytes; ++k) {
        if ((byte(k) & 0xC0) != 0x80) return {};
        code = code << 6 | (byte(k) & 0x3F);
    }
    const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    return overlong || surrogate || code > 0x10FFFF ? Letter{} : Letter{code, bytes};
}

bool isObeyed(std::uint32_t code) {
    constexpr struct {
        std::uint32_t first, last;
    } obeyed[] = {{0x00, 0x1F},     {0x7F, 0x9F},                                           // control characters
                  {0x061C, 0x061C}, {0x200E, 0x200F},  {0x202A, 0x202E}, {0x2066, 0x2069},  // direction
                  {0x00AD, 0x00AD}, {0x200B, 0x200B},  {0x2060, 0x2065}, {0xFEFF, 0xFEFF},  // no width
                  {0x2028, 0x2029},                                                         // lines
                  {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F}};                                    // annotations, tags
    for (const auto& range : obeyed)
        if (code >= range.first && code <= range.last) return true;
    return false;
}

std::string printed(const char* format, std::uint32_t value) {
    char buffer[16];
    std::snprintf(buffer, sizeof buffer, format, static_cast<unsigned>(value));
    return buffer;
}

std::string escaped(std::uint32_t code) {
    if (code < 0x10000) return printed("\\u%04x", code);
    return printed("\\u%04x", 0xD800 + ((code - 0x10000) >> 10)) +
           printed("\\u%04x", 0xDC00 + ((code - 0x10000) & 0x3FF));
}

}  // namespace

std::string shown(std::string_view text, Lines lines) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const auto first = static_cast<unsigned char>(text[at]);
        if (first >= 0x20 && first < 0x7F) {  // nearly all
            result += text[at++];
            continue;
        }
        const Letter letter = firstOf(text.substr(at));
        if (letter.bytes == 0)
            result += printed("\\x%02x", static_cast<unsigned char>(text[at++]));
        else {
            const bool stays = !isObeyed(letter.code) || (letter.code == '\n' && lines == Lines::several);
            result += stays ? std::string(text.substr(at, letter.bytes)) : escaped(letter.code);
            at += letter.bytes;
        }
    }
    return result;
}

}  // namespace regauge

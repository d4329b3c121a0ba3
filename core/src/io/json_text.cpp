#include "io/json_text.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/bytes.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::string_view mark = "\xEF\xBB\xBF";
constexpr std::string_view notJson[] = {"-Infinity", "Infinity",
                                        "NaN"};  // as Python's json.dumps writes floats that JSON has no number for

// The end of the string that begins at `at`, behind its closing quote.
std::size_t stringEnd(std::string_view text, std::size_t at) {
    for (++at; at < text.size() && text[at] != '"'; ++at)
        if (text[at] == '\\') ++at;
    return std::min(at + 1, text.size());
}

}  // namespace

std::size_t byteOrderMark(std::string_view text) { return text.starts_with(mark) ? mark.size() : 0; }

std::string strictJson(std::string_view text) {
    text.remove_prefix(byteOrderMark(text));
    std::string strict;
    std::size_t copied = 0;
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] == '"') {
            at = stringEnd(text, at);
            continue;
        }
        std::size_t length = 0;
        if (text[at] == 'N' || text[at] == 'I' || text[at] == '-')
            for (const std::string_view word : notJson)
                if (text.substr(at).starts_with(word)) length = word.size();
        if (length == 0) {
            ++at;
            continue;
        }
        strict.append(text, copied, at - copied).append("null");
        at += length;
        copied = at;
    }
    return strict.append(text, copied, std::string_view::npos);
}

std::string readJsonText(const ByteSource& source, std::string_view what) {
    if (source.size() > largestJsonFile)
        throw Error(ErrorCode::tooLarge, source.name(),
                    "has more than 64 MiB, and " + std::string(what) + " is never that large");
    return std::string(asText(readBytes(source, 0, source.size())));
}

void requireModestJson(std::string_view text, const std::string& where, std::size_t mostNumbers) {
    std::size_t depth = 0, weight = 0, numbers = 0;
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (c == '"') {
            at = stringEnd(text, at);
            continue;
        }
        ++at;
        if (c == ',') ++numbers;
        if (c == ':') weight += 8;
        if (c == '[' || c == '{') ++depth, weight += 4;
        if ((c == ']' || c == '}') && depth > 0) --depth;
        if (depth > deepestJson)
            throw Error(ErrorCode::tooLarge, where,
                        "nests lists or objects deeper than " + std::to_string(deepestJson) +
                            " levels, which no file that regauge reads does; it is damaged, or something else");
        if (weight > heaviestJson || weight + numbers > mostNumbers)
            throw Error(ErrorCode::tooLarge, where,
                        "is JSON of more than " + std::to_string(mostNumbers >> 20) +
                            " million numbers or a million members; save what it holds as .npy or .safetensors");
    }
}

nlohmann::json parseJson(std::string_view text, const std::string& where, std::size_t mostNumbers) {
    requireModestJson(text, where, mostNumbers);
    const std::string strict = strictJson(text);
    return nlohmann::json::parse(std::string_view(strict), nullptr, false);
}

std::string shownJson(const nlohmann::json& value) {
    std::size_t most = 40;
    const std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (text.size() <= most) return text;
    while ((static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;  // not within a letter
    return text.substr(0, most) + "...";
}

std::string jsonText(const nlohmann::ordered_json& json) {
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace regauge

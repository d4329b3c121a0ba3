// Adding to a safetensors header without parsing it into a document and printing it anew: that would change other people's bytes
// (escapes, number forms, order), and lossless headers are what users ask for.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "safetensors.hpp"

namespace regauge {
namespace {

// A member of a JSON object, as positions in the text: "key" : value
//                                                      ^begin     ^value end^
struct Member {
    std::string key;
    std::size_t begin = 0;
    std::size_t value = 0;
    std::size_t end = 0;
};

bool isSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::size_t skipSpace(std::string_view text, std::size_t at) {
    while (at < text.size() && isSpace(text[at])) ++at;
    return at;
}

std::size_t skipString(std::string_view text, std::size_t at) {
    for (++at; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\') ++at;
    }
    return at + 1;
}

std::size_t skipValue(std::string_view text, std::size_t at) {
    if (text[at] == '"') return skipString(text, at);
    std::size_t depth = 0;
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            at = skipString(text, at);
            continue;
        }
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') {
            if (depth == 0) return at;
            if (--depth == 0) return at + 1;
        }
        if (depth == 0 && (c == ',' || isSpace(c))) return at;
        ++at;
    }
    return at;
}

// The members of the object that opens at `open`; the text is known to be valid JSON. The position of its '}' goes to `close`.
std::vector<Member> membersOf(std::string_view text, std::size_t open, std::size_t& close) {
    std::vector<Member> members;
    std::size_t at = skipSpace(text, open + 1);
    while (at < text.size() && text[at] != '}') {
        Member member;
        member.begin = at;
        const std::size_t keyEnd = skipString(text, at);
        member.key = nlohmann::json::parse(text.substr(at, keyEnd - at)).get<std::string>();
        member.value = skipSpace(text, skipSpace(text, keyEnd) + 1);
        member.end = skipValue(text, member.value);
        at = skipSpace(text, member.end);
        if (at < text.size() && text[at] == ',') at = skipSpace(text, at + 1);
        members.push_back(std::move(member));
    }
    close = at;
    return members;
}

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

}  // namespace

std::string withMetadata(std::string_view header, const std::vector<std::pair<std::string, std::string>>& entries) {
    std::size_t close = 0;
    const std::vector<Member> tensors = membersOf(header, 0, close);
    const auto found = std::find_if(tensors.begin(), tensors.end(), [](const Member& member) { return member.key == "__metadata__"; });

    // The metadata's own members that stay, each as its own bytes, then the new ones.
    std::string inner;
    const auto append = [&](std::string_view member) {
        if (!inner.empty()) inner += ',';
        inner += member;
    };
    if (found != tensors.end()) {
        std::size_t end = 0;
        for (const Member& member : membersOf(header, found->value, end)) {
            const bool replaced = std::any_of(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == member.key; });
            if (!replaced) append(header.substr(member.begin, member.end - member.begin));
        }
    }
    for (const auto& [key, value] : entries) append(quoted(key) + ':' + quoted(value));

    std::string text;
    if (found != tensors.end()) {
        text = std::string(header.substr(0, found->value)) + '{' + inner + '}' + std::string(header.substr(found->end));
    } else {
        text = "{\"__metadata__\":{" + inner + '}' + (tensors.empty() ? "" : ",") + std::string(header.substr(1));
    }
    while (isSpace(text.back())) text.pop_back();
    text.append((8 - text.size() % 8) % 8, ' ');
    return text;
}

}  // namespace regauge

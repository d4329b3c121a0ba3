#include "io/json_edit.hpp"

#include "io/json_text.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace regauge {
namespace {

bool isSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::size_t skipSpace(std::string_view text, std::size_t at) {
    while (at < text.size() && isSpace(text[at])) ++at;
    return at;
}

std::size_t outermostOf(std::string_view text) { return skipSpace(text, byteOrderMark(text)); }

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

}  // namespace

std::vector<JsonMember> jsonMembers(std::string_view text, std::size_t open) {
    std::vector<JsonMember> members;
    std::size_t at = skipSpace(text, open + 1);
    while (at < text.size() && text[at] != '}') {
        JsonMember member;
        member.begin = at;
        const std::size_t keyEnd = skipString(text, at);
        member.key = nlohmann::json::parse(text.substr(at, keyEnd - at)).get<std::string>();
        member.value = skipSpace(text, skipSpace(text, keyEnd) + 1);
        member.end = skipValue(text, member.value);
        at = skipSpace(text, member.end);
        if (at < text.size() && text[at] == ',') at = skipSpace(text, at + 1);
        members.push_back(std::move(member));
    }
    return members;
}

namespace {

std::optional<JsonMember> memberOf(std::string_view text, std::size_t open, std::string_view key) {
    std::vector<JsonMember> members = jsonMembers(text, open);
    const auto found =
        std::find_if(members.begin(), members.end(), [&](const JsonMember& member) { return member.key == key; });
    return found == members.end() ? std::nullopt : std::optional(std::move(*found));
}

std::optional<std::size_t> openOf(std::string_view text, std::string_view object) {
    const std::size_t outermost = outermostOf(text);
    if (object.empty()) return outermost;
    const auto member = memberOf(text, outermost, object);
    return member && text[member->value] == '{' ? std::optional(member->value) : std::nullopt;
}

std::string quoted(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// "key":   "value", its length plus `extra`, that of all else, a multiple of the alignment.
std::string entry(std::string_view key, std::string_view value, std::size_t extra, std::size_t alignment) {
    const std::string name = quoted(key) + ':', text = quoted(value);
    const std::size_t length = name.size() + text.size() + extra;
    return name + std::string((alignment - length % alignment) % alignment, ' ') + text;
}

// Only the key's own entry, right after the brace: how an object that was made for it looks. One that was there and
// empty keeps a space.
bool wasMadeFor(std::string_view text, std::size_t open, const JsonMember& only) {
    return only.begin == open + 1 && text[only.end] == '}';
}

std::string spliced(std::string_view text, std::size_t begin, std::size_t end, std::string_view with) {
    return std::string(text.substr(0, begin)) + std::string(with) + std::string(text.substr(end));
}

std::string inserted(std::string_view text, std::size_t open, std::string_view key, std::string_view value,
                     std::size_t alignment) {
    const std::size_t first = skipSpace(text, open + 1);
    const std::string_view space = text.substr(open + 1, first - open - 1);
    if (text[first] == '}')
        return spliced(text, open + 1, open + 1, " " + entry(key, value, text.size() + 1, alignment));
    // Behind the last one, and set off as the first one is: pretty text stays pretty.
    const std::size_t last = jsonMembers(text, open).back().end;
    return spliced(text, last, last,
                   "," + std::string(space) + entry(key, value, text.size() + space.size() + 1, alignment));
}

std::string removed(std::string_view text, std::string_view object, std::size_t open, const JsonMember& member) {
    const std::size_t after = skipSpace(text, member.end);
    const bool first = skipSpace(text, open + 1) == member.begin;
    if (text[after] == ',')
        return first ? spliced(text, open + 1, after + 1, "")
                     : spliced(text, member.begin, skipSpace(text, after + 1), "");
    if (!first) return spliced(text, text.rfind(',', member.begin), member.end, "");
    if (object.empty() || !wasMadeFor(text, open, member)) return spliced(text, open + 1, member.end, "");
    // The object goes with its only entry, as it came: first of the outermost one.
    const std::size_t outermost = outermostOf(text);
    const JsonMember whole = *memberOf(text, outermost, object);
    return removed(text, "", outermost, whole);
}

}  // namespace

bool hasJsonObject(std::string_view json, std::string_view object) { return openOf(json, object).has_value(); }

std::string jsonEntry(std::string_view json, std::string_view object, std::string_view key) {
    const auto open = openOf(json, object);
    const auto member = open ? memberOf(json, *open, key) : std::nullopt;
    if (!member || json[member->value] != '"') return "";
    return nlohmann::json::parse(json.substr(member->value, member->end - member->value)).get<std::string>();
}

std::string withJsonEntry(std::string_view json, std::string_view object, std::string_view key, std::string_view value,
                          std::size_t alignment) {
    const auto open = openOf(json, object);
    if (!open) {
        if (value.empty()) return std::string(json);
        const std::size_t outermost = outermostOf(json), first = skipSpace(json, outermost + 1);
        const bool alone = json[first] == '}';
        const std::string_view space = alone ? "" : json.substr(outermost + 1, first - outermost - 1);
        const std::string before = std::string(space) + quoted(object) + ":{", behind = alone ? "}" : "},";
        return spliced(json, outermost + 1, outermost + 1,
                       before + entry(key, value, json.size() + before.size() + behind.size(), alignment) + behind);
    }
    const auto member = memberOf(json, *open, key);
    if (!member) return value.empty() ? std::string(json) : inserted(json, *open, key, value, alignment);
    if (value.empty()) return removed(json, object, *open, *member);
    const std::size_t old = member->end - member->begin;
    return spliced(json, member->begin, member->end, entry(key, value, json.size() - old, alignment));
}

}  // namespace regauge

#include "recipes/config.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

#include "io/json_text.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr int maxDepth = 32;
constexpr std::size_t perEntry = 128,
                      mostFlat = std::size_t{128} << 20;  // bytes that an entry takes beside its key, and all together

// Each key with those that lead to it. left: how many bytes of them may still be made.
void flatten(const nlohmann::json& value, const std::string& key, int depth,
             std::map<std::string, std::string, std::less<>>& into, std::size_t& left, const std::string& where) {
    if (key.size() + perEntry > left)
        throw Error(
            ErrorCode::tooLarge, where,
            "takes more than 128 MiB when each key is written with those that lead to it; no configuration does");
    left -= key.size() + perEntry;
    const std::string prefix = key.empty() ? "" : key + ".";
    if (value.is_object() && depth < maxDepth) {
        if (!key.empty()) into[key] = "{}";
        for (const auto& [name, member] : value.items()) flatten(member, prefix + name, depth + 1, into, left, where);
    } else if (value.is_array() && depth < maxDepth) {
        into[key] = "[]";
        for (std::size_t i = 0; i < value.size(); ++i)
            flatten(value[i], prefix + std::to_string(i), depth + 1, into, left, where);
    } else {
        into[key] = value.is_string() ? value.get<std::string>() : value.dump();
    }
}

}  // namespace

Config Config::read(const ByteSource& source) {
    const nlohmann::json json = parseJson(readJsonText(source, "a configuration"), source.name());
    if (!json.is_object())
        throw Error(ErrorCode::malformed, source.name(),
                    "is not a JSON object; regauge needs it to tell what the tensors are");
    return of(json, source.name());
}

Config Config::of(const nlohmann::json& object, const std::string& where) {
    Config config;
    std::size_t left = mostFlat;
    flatten(object, "", 0, config.values_, left, where);
    return config;
}

Config Config::of(const std::vector<std::pair<std::string, std::string>>& pairs) {
    Config config;
    for (const auto& [key, value] : pairs) config.values_.emplace(key, value);
    return config;
}

std::optional<std::string> Config::text(std::string_view keys) const {
    std::optional<std::string> found;
    anyAlternative(keys, [&](std::string_view key) {
        const auto at = values_.find(key);
        if (at == values_.end() || at->second == "null") return false;
        found = at->second;
        return true;
    });
    return found;
}

std::optional<std::uint64_t> Config::number(std::string_view keys) const {
    const auto found = text(keys);
    std::uint64_t value = 0;
    if (!found) return std::nullopt;
    const auto [end, error] = std::from_chars(found->data(), found->data() + found->size(), value);
    return error == std::errc() && end == found->data() + found->size() ? std::optional(value) : std::nullopt;
}

bool Config::has(std::string_view key) const { return values_.find(key) != values_.end(); }

std::map<std::string, std::string> Config::below(std::string_view prefix) const {
    std::map<std::string, std::string> found;
    for (auto at = values_.lower_bound(prefix); at != values_.end() && at->first.starts_with(prefix); ++at)
        found[at->first.substr(prefix.size())] = at->second;
    return found;
}

}  // namespace regauge

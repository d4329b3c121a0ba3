// A companion JSON file (cfg.json, config.json, adapter_config.json) as flat text, which is all that recipes ask of it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace regauge {

class ByteSource;

// {"d_in": 128, "metadata": {"hook_name": "blocks.1"}}  ->  "d_in" = "128", "metadata.hook_name" = "blocks.1".
// Strings are as they are; numbers, true, false and null as JSON writes them; arrays count from 0 ("architectures.0").
class Config {
public:
    Config() = default;  // no file: every key is absent
    // Throws Error: malformed, tooLarge.
    static Config read(const ByteSource& source);
    // Of a JSON object that was read already; where: for messages. Throws Error(tooLarge).
    static Config of(const nlohmann::json& object, const std::string& where);
    // Of pairs that are flat already: a tensor file's metadata.
    static Config of(const std::vector<std::pair<std::string, std::string>>& pairs);

    // `keys` are alternatives, "metadata.hook_name|hook_name": the first one that is there (and not null).
    std::optional<std::string> text(std::string_view keys) const;
    std::optional<std::uint64_t> number(std::string_view keys) const;
    // Whether the key is there, also as an object or array, or null.
    bool has(std::string_view key) const;
    // Every key below `prefix` with its text, e.g. an index's "weight_map."; prefix is cut off.
    std::map<std::string, std::string> below(std::string_view prefix) const;

private:
    std::map<std::string, std::string, std::less<>> values_;
};

// "a|b|c" -> calls visit with each part until it returns true.
template <class Visit>
bool anyAlternative(std::string_view keys, Visit visit) {
    for (;;) {
        const std::size_t bar = keys.find('|');
        if (visit(keys.substr(0, bar))) return true;
        if (bar == std::string_view::npos) return false;
        keys.remove_prefix(bar + 1);
    }
}

}  // namespace regauge

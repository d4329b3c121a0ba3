#include "options.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "regauge/error.hpp"

namespace regauge::wasm {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const std::string& sentence) { throw Error(ErrorCode::usage, "", sentence); }

Json parse(const std::string& text) {
    Json options = Json::parse(std::string_view(text), nullptr, false);
    if (!options.is_object()) refuse("options must be an object");
    return options;
}

template <class Value>
Value as(const std::string& key, const Json& value, const char* expected) {
    try {
        return value.get<Value>();
    } catch (const Json::exception&) {
        refuse("option " + key + " is " + value.dump() + "; expected " + expected);
    }
}

// JSON converts -1 and 2.5 to unsigned without a word; a count must be a whole number.
std::uint64_t count(const std::string& key, const Json& value, std::uint64_t least) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() < least)
        refuse("option " + key + " is " + value.dump() + "; expected a whole number of at least " + std::to_string(least));
    return value.get<std::uint64_t>();
}

template <class Enum>
Enum oneOf(const std::string& key, const Json& value, std::optional<Enum> (*fromName)(std::string_view), const char* expected) {
    const auto found = value.is_string() ? fromName(value.get<std::string>()) : std::nullopt;
    if (!found) refuse("option " + key + " is " + value.dump() + "; expected " + expected);
    return *found;
}

}  // namespace

AlignOptions alignOptions(const std::string& json, unsigned threads) {
    AlignOptions options;
    MatchOptions& match = options.match;
    match.threads = threads;
    const Json given = parse(json);  // named: items() only refers to it
    for (const auto& [key, value] : given.items()) {
        if (key == "group")
            match.group = oneOf(key, value, groupFromName, "signed, permutation or layernorm");
        else if (key == "statistic")
            match.statistic = oneOf(key, value, statisticFromName, "auto, correlation or whitened");
        else if (key == "sites")
            match.sites = as<std::vector<std::string>>(key, value, "a list of site names");
        else if (key == "rows")
            match.rows = count(key, value, 1);
        else if (key == "skipFirst")
            match.skipFirst = count(key, value, 0);
        else if (key == "threads")
            match.threads = static_cast<unsigned>(std::min<std::uint64_t>(count(key, value, 1), 1024));
        else if (key == "gains")
            options.gains = as<std::vector<std::string>>(key, value, "two files");
        else
            refuse("unknown option " + key);
    }
    if (!options.gains.empty() && options.gains.size() != 2) refuse("option gains needs two files, of the source and of the target");
    return options;
}

TransportOptions transportOptions(const std::string& json) {
    TransportOptions options;
    const Json given = parse(json);
    for (const auto& [key, value] : given.items()) {
        if (key == "kind")
            options.kind = as<std::string>(key, value, "the name of a kind of object");
        else if (key == "copyUnknown")
            options.copyUnknown = as<bool>(key, value, "true or false");
        else if (key == "force")
            options.force = as<bool>(key, value, "true or false");
        else
            refuse("unknown option " + key);
    }
    return options;
}

}  // namespace regauge::wasm

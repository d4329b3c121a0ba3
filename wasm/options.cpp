#include "options.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "host.hpp"
#include "io/json_text.hpp"
#include "regauge/error.hpp"
#include "regauge/words.hpp"

namespace regauge::wasm {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const std::string& sentence) { throw Error(ErrorCode::usage, "", sentence); }

Json parse(const std::string& text) {
    Json options = parseJson(text, "options");
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
        refuse("option " + key + " is " + value.dump() + "; expected a whole number of at least " +
               std::to_string(least));
    return value.get<std::uint64_t>();
}

// A number of at least `least`; JSON has no NaN, and JavaScript's becomes null.
double number(const std::string& key, const Json& value, double least = -std::numeric_limits<double>::infinity()) {
    if (!value.is_number() || value.get<double>() < least)
        refuse("option " + key + " is " + value.dump() + "; expected a number" + (least == 0 ? " of 0 or more" : ""));
    return value.get<double>();
}

unsigned threads(const std::string& key, const Json& value) {
    return static_cast<unsigned>(std::min<std::uint64_t>(count(key, value, 1), 1024));
}

template <class Enum>
Enum oneOf(const std::string& key, const Json& value, std::optional<Enum> (*fromName)(std::string_view),
           const Words& words) {
    const auto found = value.is_string() ? fromName(value.get<std::string>()) : std::nullopt;
    if (!found) refuse("option " + key + " is " + value.dump() + "; expected " + either(words));
    return *found;
}

}  // namespace

AlignOptions alignOptions(const std::string& json, unsigned threadsUnlessSaid) {
    AlignOptions options;
    MatchOptions& match = options.match;
    match.threads = threadsUnlessSaid;
    match.memory = availableMemory();
    const Json given = parse(json);  // named: items() only refers to it
    for (const auto& [key, value] : given.items()) {
        if (key == "group")
            match.group = oneOf(key, value, groupFromName, groupWords());
        else if (key == "statistic")
            match.statistic = oneOf(key, value, statisticFromName, statisticWords());
        else if (key == "sites")
            match.sites = as<std::vector<std::string>>(key, value, "a list of site names");
        else if (key == "rows")
            match.rows = count(key, value, 1);
        else if (key == "skipFirst")
            match.skipFirst = count(key, value, 0);
        else if (key == "threads")
            match.threads = threads(key, value);
        else if (key == "gains")
            options.gains = as<std::vector<std::string>>(key, value, "two files");
        else
            refuse("unknown option " + key);
    }
    if (!options.gains.empty() && options.gains.size() != 2)
        refuse("option gains needs two files, of the source and of the target");
    return options;
}

namespace {

// Whether `key` is one of transport's, which then has its value.
bool takes(TransportOptions& options, const std::string& key, const Json& value) {
    if (key == "kind")
        options.kind = as<std::string>(key, value, "the name of a kind of object");
    else if (key == "copyUnknown")
        options.copyUnknown = as<bool>(key, value, "true or false");
    else if (key == "force")
        options.force = as<bool>(key, value, "true or false");
    else if (key == "dequantize")
        options.dequantize = oneOf(key, value, dequantizedFromName, dequantizedWords());
    else
        return false;
    return true;
}

}  // namespace

GaugeTransportOptions transportOptions(const std::string& json) {
    GaugeTransportOptions options;
    const Json given = parse(json);
    for (const auto& [key, value] : given.items()) {
        if (key == "site")
            options.site = as<std::string>(key, value, "a hook such as blocks.3.mlp.hook_post");
        else if (!takes(options.object, key, value))
            refuse("unknown option " + key);
    }
    return options;
}

MapOptions mapOptions(const std::string& json, unsigned threadsUnlessSaid) {
    MapOptions options;
    options.threads = threadsUnlessSaid;
    options.memory = availableMemory();
    const Json given = parse(json);
    for (const auto& [key, value] : given.items()) {
        if (key == "family") {
            options.family = mapFamilyFromName(as<std::string>(key, value, "the name of a family"));
            if (!options.family)
                refuse("option family is " + value.dump() + "; expected identity, gauge, orthogonal or affine");
        } else if (key == "sites")
            options.sites = as<std::vector<std::pair<std::string, std::string>>>(key, value, "pairs of site names");
        else if (key == "ridge")
            options.ridge = number(key, value, 0);
        else if (key == "rows")
            options.rows = count(key, value, 1);
        else if (key == "skipFirst")
            options.skipFirst = count(key, value, 0);
        else if (key == "threads")
            options.threads = threads(key, value);
        else
            refuse("unknown option " + key);
    }
    return options;
}

MapTransportOptions mapTransportOptions(const std::string& json, unsigned threads) {
    MapTransportOptions options;
    options.threads = threads;
    const Json given = parse(json);
    for (const auto& [key, value] : given.items()) {
        if (key == "site")
            options.site = as<std::string>(key, value, "SOURCE_SITE=TARGET_SITE");
        else if (key == "keepStrength")
            options.keepStrength = as<bool>(key, value, "true or false");
        else if (!takes(options.object, key, value))
            refuse("unknown option " + key);
    }
    return options;
}

GaugeMergeOptions mergeOptions(const std::string& json) {
    GaugeMergeOptions options;
    std::string form;
    const Json given = parse(json);
    for (const auto& [key, value] : given.items()) {
        if (key == "weight")
            options.merge.weight = number(key, value);
        else if (key == "form")
            form = as<std::string>(key, value, "linear or task-vector");
        else if (key == "base")
            options.merge.base = as<std::string>(key, value, "a checkpoint");
        else if (key == "baseGauge")
            options.baseGauge = parseGaugeFile(as<std::string>(key, value, "a gauge"), "baseGauge");
        else if (key == "force")
            options.merge.force = as<bool>(key, value, "true or false");
        else
            refuse("unknown option " + key);
    }
    if (!form.empty() && form != "linear" && form != "task-vector")
        refuse("option form is " + Json(form).dump() + "; expected linear or task-vector");
    if (form == "task-vector" && options.merge.base.empty())
        refuse("a task vector is B less its base; give option base, the checkpoint that A and B come from");
    if (form == "linear" && !options.merge.base.empty())
        refuse("option base makes a task vector; leave it out for the linear form");
    if (options.baseGauge && options.merge.base.empty()) refuse("option baseGauge needs option base");
    return options;
}

AuditOptions auditOptions(const std::string& json) {
    AuditOptions options;
    const Json given = parse(json);
    for (const auto& [key, value] : given.items()) {
        if (key == "kind")
            options.kind = as<std::string>(key, value, "the name of a kind of object");
        else if (key == "k")
            options.k = static_cast<std::size_t>(count(key, value, 1));
        else if (key == "gauges")
            options.gauges = count(key, value, 1);
        else if (key == "seed")
            options.seed = count(key, value, 0);
        else if (key == "d")
            options.d = static_cast<std::size_t>(count(key, value, 1));
        else
            refuse("unknown option " + key);
    }
    return options;
}

CeilingOptions ceilingOptions(const std::string& json) {
    CeilingOptions options;
    options.memory = availableMemory();
    const Json given = parse(json);
    for (const auto& [key, value] : given.items()) {
        if (key == "d")
            options.d = static_cast<std::size_t>(count(key, value, 2));
        else if (key == "rows")
            options.rows = static_cast<std::size_t>(count(key, value, 4));
        else if (key == "noise")
            options.noise = number(key, value);
        else if (key == "steps")
            options.steps = static_cast<std::size_t>(count(key, value, 1));
        else if (key == "seed")
            options.seed = count(key, value, 0);
        else if (key == "threads")
            options.threads = threads(key, value);
        else
            refuse("unknown option " + key);
    }
    return options;
}

VerifyOptions verifyOptions(const std::string& json) {
    VerifyOptions options;
    const Json given = parse(json);
    for (const auto& [key, value] : given.items()) {
        if (key == "sequences")
            options.sequences = static_cast<std::size_t>(count(key, value, 1));
        else if (key == "tolerance")
            options.tolerance = number(key, value, 0);
        else
            refuse("unknown option " + key);
    }
    return options;
}

SteeringOptions steeringOptions(const std::string& json) {
    SteeringOptions options;
    const Json given = parse(json);
    for (const auto& [key, value] : given.items()) {
        if (key == "vector")
            options.vector = as<std::string>(key, value, "a file");
        else if (key == "row")
            options.row = static_cast<std::size_t>(count(key, value, 0));
        else if (key == "site")
            options.steer.site = as<std::string>(key, value, "a place such as resid.2");
        else if (key == "strength")
            options.steer.strength = number(key, value);
        else if (key == "promoted")
            options.steer.promoted = static_cast<std::size_t>(count(key, value, 1));
        else if (key == "length")
            options.steer.generate.length = static_cast<std::size_t>(count(key, value, 0));
        else if (key == "temperature")
            options.steer.generate.temperature = number(key, value, 0);
        else if (key == "seed")
            options.steer.generate.seed = count(key, value, 0);
        else
            refuse("unknown option " + key);
    }
    return options;
}

}  // namespace regauge::wasm

#include "regauge/io/gauge_json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "io/json_text.hpp"
#include "regauge/error.hpp"
#include "regauge/version.hpp"
#include "regauge/words.hpp"

namespace regauge {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t largestGaugeFile = std::uint64_t{1} << 30;

// Six decimals say more than the data can, and keep the file readable.
Json rounded(const std::vector<double>& values) {
    Json list = Json::array();
    for (const double value : values) list.push_back(std::round(value * 1e6) / 1e6);
    return list;
}
double rounded(double value) { return std::round(value * 1e6) / 1e6; }

[[noreturn]] void refuse(const std::string& where, const std::string& sentence) {
    throw Error(ErrorCode::malformed, where, sentence);
}

const Json& required(const Json& object, const char* key, const std::string& where) {
    const auto found = object.find(key);
    if (found == object.end()) refuse(where, std::string("a gauge file needs \"") + key + "\", and there is none");
    return *found;
}

// A list of `count` whole numbers within [low, high].
template <class Value>
std::vector<Value> integers(const Json& list, const char* key, std::size_t count, std::int64_t low, std::int64_t high,
                            const std::string& where) {
    if (!list.is_array() || list.size() != count)
        throw Error(ErrorCode::invalidGauge, where,
                    std::string("\"") + key + "\" must be a list of d = " + std::to_string(count) + " whole numbers");
    std::vector<Value> values;
    values.reserve(count);
    for (const Json& entry : list) {
        const bool fits =
            entry.is_number_integer() &&
            (!entry.is_number_unsigned() || entry.get<std::uint64_t>() <= static_cast<std::uint64_t>(high)) &&
            entry.get<std::int64_t>() >= low && entry.get<std::int64_t>() <= high;
        if (!fits)
            throw Error(ErrorCode::invalidGauge, where,
                        std::string("\"") + key + "\"[" + std::to_string(values.size()) + "] is " + entry.dump() +
                            "; it must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
        values.push_back(static_cast<Value>(entry.get<std::int64_t>()));
    }
    return values;
}

std::vector<double> optionalNumbers(const Json& file, const char* key, std::size_t count, const std::string& where) {
    const auto found = file.find(key);
    if (found == file.end()) return {};
    if (!found->is_array() || found->size() != count)
        refuse(where, std::string("\"") + key + "\" must be a list of d numbers");
    std::vector<double> values;
    for (const Json& entry : *found) {
        if (!entry.is_number()) refuse(where, std::string("\"") + key + "\" must be a list of d numbers");
        values.push_back(entry.get<double>());
    }
    return values;
}

template <class Value>
Value optional(const Json& object, const char* key, Value otherwise, const std::string& where) {
    const auto found = object.find(key);
    if (found == object.end()) return otherwise;
    try {
        return found->get<Value>();
    } catch (const Json::exception&) {
        refuse(where, std::string("\"") + key + "\" has the wrong type: " + found->dump().substr(0, 40));
    }
}

Json sideToJson(const Alignment::Side& side) {
    Json json{{"name", side.name}};
    if (!side.sha256.empty()) json["sha256"] = side.sha256;
    return json;
}

Alignment::Side sideFromJson(const Json& file, const char* key, const std::string& where) {
    const auto found = file.find(key);
    if (found == file.end() || !found->is_object()) return {};
    return {optional<std::string>(*found, "name", "", where), optional<std::string>(*found, "sha256", "", where)};
}

}  // namespace

std::string toJson(const Alignment& alignment) {
    Json sites = Json::array();
    for (const SiteReport& site : alignment.sites)
        sites.push_back({{"name", site.name},
                         {"statistic", site.statistic},
                         {"rows", site.rows},
                         {"set_aside", site.setAside},
                         {"mean_score", rounded(site.meanScore)},
                         {"agreement", rounded(site.agreement)},
                         {"estimate", rounded(site.estimate)},
                         {"weight", rounded(site.weight)}});
    double meanScore = 0;
    for (const double score : alignment.score) meanScore += score;
    if (!alignment.score.empty()) meanScore /= static_cast<double>(alignment.score.size());

    Json file;
    file["format"] = "regauge-gauge";
    file["version"] = 1;
    file["d"] = alignment.gauge.d();
    file["group"] = name(alignment.group);
    file["perm"] = alignment.gauge.perm();
    file["sign"] = alignment.gauge.sign();
    if (!alignment.score.empty()) file["score"] = rounded(alignment.score);
    if (!alignment.margin.empty()) file["margin"] = rounded(alignment.margin);
    if (!alignment.confidence.empty()) file["confidence"] = rounded(alignment.confidence);
    file["verdict"] = name(alignment.verdict);
    file["summary"] = {{"estimate", rounded(alignment.estimate)},
                       {"agreement", rounded(alignment.agreement)},
                       {"mean_score", rounded(meanScore)},
                       {"sign_flips", alignment.gauge.signFlips()},
                       {"undetermined", alignment.gauge.undetermined()},
                       {"identity", alignment.gauge.isIdentity()}};
    file["source"] = sideToJson(alignment.source);
    file["target"] = sideToJson(alignment.target);
    file["method"] = {{"statistic", alignment.statistic},
                      {"lambda", alignment.lambda},
                      {"rows", alignment.rows},
                      {"sites", std::move(sites)},
                      {"version", version}};
    file["fingerprint"] = alignment.gauge.fingerprint();
    return file.dump() + "\n";
}

Alignment parseGauge(std::string_view text, const std::string& where) {
    const std::string strict = strictJson(text);
    const Json file = Json::parse(std::string_view(strict), nullptr, false);
    if (file.is_discarded()) refuse(where, "a gauge file is JSON, and this is not");
    if (!file.is_object() || optional<std::string>(file, "format", "", where) != "regauge-gauge")
        refuse(where, "not a gauge file: expected a JSON object with \"format\": \"regauge-gauge\"");
    const Json& versionEntry = required(file, "version", where);
    if (!versionEntry.is_number_integer()) refuse(where, "\"version\" must be a whole number");
    if (versionEntry.get<std::int64_t>() != 1)
        throw Error(ErrorCode::unsupported, where,
                    "gauge file version " + versionEntry.dump() + " is not known here; this regauge reads version 1");
    const Json& dEntry = required(file, "d", where);
    if (!dEntry.is_number_unsigned() || dEntry.get<std::uint64_t>() > (std::uint64_t{1} << 31))
        refuse(where, "\"d\" must be a whole number");
    const auto d = dEntry.get<std::size_t>();

    Alignment alignment;
    const std::string groupWord = optional<std::string>(file, "group", "", where);
    const std::optional<Group> group = groupFromName(groupWord);
    if (!group) refuse(where, "\"group\" is \"" + groupWord + "\"; it must be " + either(groupWords()));
    alignment.group = *group;
    const auto highest = static_cast<std::int64_t>(d) - 1;
    alignment.gauge = Gauge(integers<std::uint32_t>(required(file, "perm", where), "perm", d, 0, highest, where),
                            integers<std::int8_t>(required(file, "sign", where), "sign", d, -1, 1, where), where);
    if (const std::string stated = optional<std::string>(file, "fingerprint", "", where);
        !stated.empty() && stated != alignment.gauge.fingerprint())
        throw Error(ErrorCode::invalidGauge, where,
                    "the fingerprint does not fit perm and sign: the file was changed after it was written");

    alignment.score = optionalNumbers(file, "score", d, where);
    alignment.margin = optionalNumbers(file, "margin", d, where);
    alignment.confidence = optionalNumbers(file, "confidence", d, where);
    const std::string verdictWord = optional<std::string>(file, "verdict", "aligned", where);
    const std::optional<Verdict> verdict = verdictFromName(verdictWord);
    if (!verdict) refuse(where, "\"verdict\" is \"" + verdictWord + "\"; it must be " + either(verdictWords()));
    alignment.verdict = *verdict;
    if (const auto summary = file.find("summary"); summary != file.end() && summary->is_object()) {
        alignment.estimate = optional<double>(*summary, "estimate", 1, where);
        alignment.agreement = optional<double>(*summary, "agreement", 1, where);
    }
    alignment.source = sideFromJson(file, "source", where);
    alignment.target = sideFromJson(file, "target", where);
    if (const auto method = file.find("method"); method != file.end() && method->is_object()) {
        alignment.statistic = optional<std::string>(*method, "statistic", "none", where);
        alignment.lambda = optional<double>(*method, "lambda", 0, where);
        alignment.rows = optional<std::uint64_t>(*method, "rows", 0, where);
        if (const auto sites = method->find("sites"); sites != method->end() && sites->is_array())
            for (const Json& site : *sites) {
                if (!site.is_object()) continue;
                SiteReport report;
                report.name = optional<std::string>(site, "name", "", where);
                report.statistic = optional<std::string>(site, "statistic", "", where);
                report.rows = optional<std::uint64_t>(site, "rows", 0, where);
                report.setAside = optional<std::uint64_t>(site, "set_aside", 0, where);
                report.meanScore = optional<double>(site, "mean_score", 0, where);
                report.agreement = optional<double>(site, "agreement", 0, where);
                report.estimate = optional<double>(site, "estimate", 0, where);
                report.weight = optional<double>(site, "weight", 0, where);
                alignment.sites.push_back(std::move(report));
            }
    }
    return alignment;
}

Alignment readGauge(const Files& files, const std::string& path) {
    const std::unique_ptr<ByteSource> source = files.open(path);
    if (source->size() > largestGaugeFile) refuse(path, "too large for a gauge file");
    std::string text(static_cast<std::size_t>(source->size()), '\0');
    source->read(0, std::as_writable_bytes(std::span(text)));
    return parseGauge(text, path);
}

}  // namespace regauge

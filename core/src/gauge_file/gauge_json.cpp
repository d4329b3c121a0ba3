#include "regauge/io/gauge_json.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "gauge_file/gauge_object.hpp"
#include "io/bytes.hpp"
#include "io/json_text.hpp"
#include "io/whole_number.hpp"
#include "regauge/error.hpp"
#include "regauge/version.hpp"
#include "regauge/words.hpp"

namespace regauge {
namespace {

using Json = nlohmann::ordered_json;  // written in our order
using Read = nlohmann::json;  // read: its objects find a key in logarithmic time, so that a million keys are no trap

constexpr std::string_view formatName = "regauge-gauge";
constexpr std::int64_t fileVersion = 1;  // of what is written, and the last one that is read

// Numbers that are believed.
struct Range {
    double low, high;
    const char* words;
};
constexpr Range share{0, 1, "a number from 0 to 1"};
constexpr Range magnitude{-1e12, 1e12, "a number within 10^12 of 0"};  // they are near 1, and sums of these stay finite

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

const Read& required(const Read& object, const char* key, const std::string& where) {
    const auto found = object.find(key);
    if (found == object.end()) refuse(where, std::string("a gauge file needs \"") + key + "\", and there is none");
    return *found;
}

double numberIn(const Read& value, const char* key, const Range& range, const std::string& where) {
    const double number = value.is_number() ? value.get<double>() : NAN;
    if (!(number >= range.low && number <= range.high))
        refuse(where, std::string("\"") + key + "\" holds " + shownJson(value) + "; it must be " + range.words);
    return number;
}

// A list of `count` whole numbers within [low, high].
template <class Value>
std::vector<Value> integers(const Read& list, const char* key, std::size_t count, std::int64_t low, std::int64_t high,
                            const std::string& where) {
    if (!list.is_array() || list.size() != count)
        throw Error(ErrorCode::invalidGauge, where,
                    std::string("\"") + key + "\" must be a list of d = " + std::to_string(count) + " whole numbers");
    std::vector<Value> values;
    values.reserve(count);
    for (const Read& entry : list) {
        if (!isWholeNumber(entry, low, high))
            throw Error(ErrorCode::invalidGauge, where,
                        std::string("\"") + key + "\"[" + std::to_string(values.size()) + "] is " + shownJson(entry) +
                            "; it must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
        values.push_back(static_cast<Value>(entry.get<std::int64_t>()));
    }
    return values;
}

std::vector<double> optionalNumbers(const Read& file, const char* key, std::size_t count, const std::string& where) {
    const auto list = file.find(key);
    if (list == file.end()) return {};
    if (!list->is_array() || list->size() != count)
        refuse(where, std::string("\"") + key + "\" must be a list of d numbers");
    std::vector<double> values;
    for (const Read& entry : *list) values.push_back(numberIn(entry, key, magnitude, where));
    return values;
}

template <class Value>
Value optional(const Read& object, const char* key, Value otherwise, const std::string& where) {
    const auto entry = object.find(key);
    if (entry == object.end()) return otherwise;
    try {
        return entry->get<Value>();
    } catch (const Read::exception&) {
        refuse(where, std::string("\"") + key + "\" has the wrong type: " + shownJson(*entry));
    }
}

double optionalNumber(const Read& object, const char* key, double otherwise, const Range& range,
                      const std::string& where) {
    const auto entry = object.find(key);
    return entry == object.end() ? otherwise : numberIn(*entry, key, range, where);
}

std::uint64_t optionalCount(const Read& object, const char* key, const std::string& where) {
    constexpr std::int64_t most = (std::int64_t{1} << 53) - 1;  // what JavaScript's numbers hold exactly
    const auto entry = object.find(key);
    if (entry == object.end()) return 0;
    if (!isWholeNumber(*entry, 0, most))
        refuse(where, std::string("\"") + key + "\" holds " + shownJson(*entry) + "; it must be a whole number");
    return entry->get<std::uint64_t>();
}

// What `key` holds: an object, an empty one where there is none.
const Read& objectIn(const Read& file, const char* key, const std::string& where) {
    static const Read none = Read::object();
    const auto found = file.find(key);
    if (found == file.end()) return none;
    if (!found->is_object()) refuse(where, std::string("\"") + key + "\" has the wrong type: " + shownJson(*found));
    return *found;
}

Json sideToJson(const Alignment::Side& side) {
    Json json{{"name", side.name}};
    if (!side.sha256.empty()) json["sha256"] = side.sha256;
    return json;
}

Alignment::Side sideFromJson(const Read& file, const char* key, const std::string& where) {
    const Read& side = objectIn(file, key, where);
    return {optional<std::string>(side, "name", "", where), optional<std::string>(side, "sha256", "", where)};
}

// Refuses what is not a gauge file of this version.
void checkFormat(const Read& file, const std::string& where) {
    if (file.is_discarded()) refuse(where, "a gauge file is JSON, and this is not");
    if (!file.is_object() || optional<std::string>(file, "format", "", where) != formatName)
        refuse(where, "not a gauge file: expected a JSON object with \"format\": \"regauge-gauge\"");
    const Read& versionEntry = required(file, "version", where);
    if (!isWholeNumber(versionEntry, INT64_MIN, INT64_MAX)) refuse(where, "\"version\" must be a whole number");
    if (versionEntry != fileVersion)
        throw Error(ErrorCode::unsupported, where,
                    "is version " + shownJson(versionEntry) + " of gauge files, and this regauge reads version " +
                        std::to_string(fileVersion) +
                        (versionEntry > fileVersion ? "; a later regauge wrote it, so update this one"
                                                    : "; there is no such version"));
}

SiteReport siteFrom(const Read& site, const std::string& where) {
    SiteReport report;
    report.name = optional<std::string>(site, "name", "", where);
    report.statistic = optional<std::string>(site, "statistic", "", where);
    report.rows = optionalCount(site, "rows", where);
    report.setAside = optionalCount(site, "set_aside", where);
    report.meanScore = optionalNumber(site, "mean_score", 0, magnitude, where);
    report.agreement = optionalNumber(site, "agreement", 0, share, where);
    report.estimate = optionalNumber(site, "estimate", 0, share, where);
    report.weight = optionalNumber(site, "weight", 0, magnitude, where);
    return report;
}

// Where the file says how it was matched, that.
void readMethod(const Read& file, Alignment& alignment, const std::string& where) {
    if (!file.contains("method")) return;
    const Read& method = objectIn(file, "method", where);
    alignment.statistic = optional<std::string>(method, "statistic", "none", where);
    alignment.lambda = optionalNumber(method, "lambda", 0, magnitude, where);
    alignment.rows = optionalCount(method, "rows", where);
    optional<std::string>(method, "version", "", where);
    const auto sites = method.find("sites");
    if (sites == method.end()) return;
    if (!sites->is_array() || !std::ranges::all_of(*sites, &Read::is_object))
        refuse(where, "\"sites\" must be a list of objects");
    for (const Read& site : *sites) alignment.sites.push_back(siteFrom(site, where));
}

}  // namespace

Json gaugeObject(const Alignment& alignment) {
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
    file["format"] = formatName;
    file["version"] = fileVersion;
    file["d"] = alignment.gauge.d();
    file["group"] = name(alignment.group);
    file["perm"] = alignment.gauge.perm();
    file["sign"] = alignment.gauge.sign();
    if (!alignment.score.empty()) file["score"] = rounded(alignment.score);
    if (!alignment.margin.empty()) file["margin"] = rounded(alignment.margin);
    if (!alignment.confidence.empty()) file["confidence"] = rounded(alignment.confidence);
    const bool stated = !std::isnan(alignment.estimate) || alignment.verdict != Verdict::aligned;
    if (stated) file["verdict"] = name(alignment.verdict);
    // Made before it gets its place: where a null within an object is to become one and there is no memory for that,
    // nlohmann-json 3.11 leaves an object that points to nothing, and destroying what it is in reads that.
    Json summary = Json::object();
    if (!std::isnan(alignment.estimate))
        summary["estimate"] = rounded(alignment.estimate), summary["agreement"] = rounded(alignment.agreement);
    summary["mean_score"] = rounded(meanScore);
    summary["sign_flips"] = alignment.gauge.signFlips();
    summary["undetermined"] = alignment.gauge.undetermined();
    summary["identity"] = alignment.gauge.isIdentity();
    file["summary"] = std::move(summary);
    file["source"] = sideToJson(alignment.source);
    file["target"] = sideToJson(alignment.target);
    file["method"] = {{"statistic", alignment.statistic},
                      {"lambda", alignment.lambda},
                      {"rows", alignment.rows},
                      {"sites", std::move(sites)},
                      {"version", version}};
    file["fingerprint"] = alignment.gauge.fingerprint();
    return file;
}

std::string toJson(const Alignment& alignment) { return jsonText(gaugeObject(alignment)) + "\n"; }

Alignment alignmentFrom(const Read& file, const std::string& where) {
    checkFormat(file, where);
    const Read& dEntry = required(file, "d", where);
    if (!isWholeNumber(dEntry, 0, std::int64_t{1} << 31)) refuse(where, "\"d\" must be a whole number");
    const auto d = dEntry.get<std::size_t>();

    Alignment alignment;
    const std::string groupWord = optional<std::string>(file, "group", "", where);
    const std::optional<Group> group = groupFromName(groupWord);
    if (!group) refuse(where, "\"group\" is " + shownJson(groupWord) + "; it must be " + either(groupWords()));
    alignment.group = *group;
    const auto highest = static_cast<std::int64_t>(d) - 1;
    alignment.gauge = Gauge(integers<std::uint32_t>(required(file, "perm", where), "perm", d, 0, highest, where),
                            integers<std::int8_t>(required(file, "sign", where), "sign", d, -1, 1, where), where);
    const bool hasFingerprint = file.contains("fingerprint");
    if (hasFingerprint && optional<std::string>(file, "fingerprint", "", where) != alignment.gauge.fingerprint())
        throw Error(ErrorCode::invalidGauge, where,
                    "the fingerprint does not fit perm and sign: the file was changed after it was written");

    alignment.score = optionalNumbers(file, "score", d, where);
    alignment.margin = optionalNumbers(file, "margin", d, where);
    alignment.confidence = optionalNumbers(file, "confidence", d, where);
    const std::string verdictWord = optional<std::string>(file, "verdict", "aligned", where);
    const std::optional<Verdict> verdict = verdictFromName(verdictWord);
    if (!verdict) refuse(where, "\"verdict\" is " + shownJson(verdictWord) + "; it must be " + either(verdictWords()));
    alignment.verdict = *verdict;
    const Read& summary = objectIn(file, "summary", where);
    alignment.estimate = optionalNumber(summary, "estimate", 1, share, where);
    alignment.agreement = optionalNumber(summary, "agreement", 1, share, where);
    // What is computed anew is checked, too: a file is read everywhere or nowhere.
    optionalNumber(summary, "mean_score", 0, magnitude, where);
    optionalCount(summary, "sign_flips", where);
    optionalCount(summary, "undetermined", where);
    optional<bool>(summary, "identity", false, where);
    // Without its fingerprint, the verdict need not be of this perm and sign.
    if (!file.contains("verdict") || !summary.contains("estimate") || !hasFingerprint) alignment.estimate = NAN;
    alignment.source = sideFromJson(file, "source", where);
    alignment.target = sideFromJson(file, "target", where);
    readMethod(file, alignment, where);
    return alignment;
}

Alignment parseGauge(std::string_view text, const std::string& where) {
    return alignmentFrom(parseJson(text, where, mostGaugeNumbers), where);
}

bool isGaugeFile(const ByteSource& file) {
    const std::string word = '"' + std::string(formatName) + '"';
    const auto beginsWith = [&](std::uint64_t bytes) {
        const std::vector<std::byte> begin = readBytes(file, 0, std::min(file.size(), bytes));
        const std::string_view text = asText(begin);
        const std::size_t first = text.find_first_not_of(" \t\r\n", byteOrderMark(text));
        if (first == std::string_view::npos || text[first] != '{') return std::optional<bool>(false);
        return text.find(word) != std::string_view::npos ? std::optional(true) : std::nullopt;
    };
    // "format" is the first key of what regauge writes, and anywhere in what others do.
    return beginsWith(4096).value_or(file.size() > 4096 && beginsWith(largestJsonFile).value_or(false));
}

std::string gaugeText(const Files& files, const std::string& path) {
    const std::unique_ptr<ByteSource> source = files.open(path);
    if (source->size() > largestGaugeFile) refuse(path, "too large for a gauge file");
    std::string text(static_cast<std::size_t>(source->size()), '\0');
    source->read(0, std::as_writable_bytes(std::span(text)));
    return text;
}

Alignment readGauge(const Files& files, const std::string& path) { return parseGauge(gaugeText(files, path), path); }

}  // namespace regauge

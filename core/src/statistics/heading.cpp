#include "statistics/heading.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/sha256.hpp"
#include "io/bytes.hpp"
#include "io/json_text.hpp"

namespace regauge {
namespace {

using Json = nlohmann::ordered_json;
using Read = nlohmann::json;

constexpr std::string_view magic = "regauge stats";
constexpr std::uint16_t version = 2;
constexpr std::uint16_t versionForMaps = 3;  // with "map_width", which those before would not heed
constexpr std::size_t fixedBytes = magic.size() + 1 + 2 + 4;
constexpr std::size_t digestBytes = 64;
constexpr std::uint64_t mostJson = std::uint64_t{64} << 20;
constexpr std::uint64_t largestD = 1U << 16;

// Everything that is written passes a hash.
class HashedSink final : public ByteSink {
public:
    explicit HashedSink(ByteSink& out) : out_(out) {}
    void write(std::span<const std::byte> bytes) override {
        hash.update(bytes);
        out_.write(bytes);
    }
    Sha256 hash;

private:
    ByteSink& out_;
};

template <class T>
void put(ByteSink& out, T value) {
    std::byte bytes[sizeof(T)];
    storeLittle(value, bytes);
    out.write(bytes);
}

Json inputsJson(const std::vector<Statistics::Input>& inputs) {
    Json json = Json::array();
    for (const Statistics::Input& input : inputs) json.push_back({{"name", input.name}, {"sha256", input.sha256}});
    return json;
}

Json namesOf(const std::vector<Gains>& gains) {
    Json json = Json::array();
    for (const Gains& vector : gains) json.push_back(vector.name);
    return json;
}

// Takes the JSON apart; whatever is not as expected is one refusal.
class HeadingReader {
public:
    explicit HeadingReader(const std::string& where) : where_(where) {}

    [[noreturn]] void refuse(const std::string& what) const {
        throw Error(ErrorCode::malformed, where_,
                    "the heading of this statistics file " + what + "; sum the rows again");
    }
    const Read& at(const Read& object, const char* key) const {
        const auto found = object.is_object() ? object.find(key) : object.end();
        if (found == object.end()) refuse(std::string("has no \"") + key + "\"");
        return *found;
    }
    std::uint64_t number(const Read& value, std::uint64_t most) const {
        if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) refuse("has a number that no rows give");
        return value.get<std::uint64_t>();
    }
    bool flag(const Read& value) const {
        if (!value.is_boolean()) refuse("has something else where true or false belongs");
        return value.get<bool>();
    }
    std::string text(const Read& value) const {
        if (!value.is_string()) refuse("has something else where a name belongs");
        return value.get<std::string>();
    }
    const Read& list(const Read& value) const {
        if (!value.is_array()) refuse("has something else where a list belongs");
        return value;
    }
    std::vector<Statistics::Input> inputs(const Read& value) const {
        std::vector<Statistics::Input> result;
        for (const Read& input : list(value)) result.push_back({text(at(input, "name")), text(at(input, "sha256"))});
        if (result.empty()) refuse("names no input");
        return result;
    }
    std::vector<Gains> gains(const Read& value) const {
        std::vector<Gains> result;
        for (const Read& name : list(value)) result.push_back({text(name), {}});
        return result;
    }
    Statistics::SiteHeading site(const Read& value) const {
        Statistics::SiteHeading result;
        result.name = text(at(value, "name"));
        result.weights = flag(at(value, "weights"));
        result.known = number(at(value, "known"), largestRowNumber);
        std::uint64_t last = 0;
        for (const Read& range : list(at(value, "covered"))) {
            if (list(range).size() != 2) refuse("has a range of rows without two ends");
            const std::uint64_t begin = number(range[0], largestRowNumber), end = number(range[1], largestRowNumber);
            if (begin >= end || (begin <= last && !result.covered.empty()) || end > result.known)
                refuse("has ranges of rows out of order");
            result.covered.emplace_back(begin, end);
            last = end;
        }
        return result;
    }

private:
    const std::string& where_;
};

// The heading's JSON, without the numbers that follow it.
Statistics::Heading headingFrom(const Read& json, const HeadingReader& reader) {
    Statistics::Heading heading;
    heading.d = static_cast<std::size_t>(reader.number(reader.at(json, "d"), largestD));
    heading.withGram = reader.flag(reader.at(json, "gram"));
    heading.chosen = reader.flag(reader.at(json, "chosen"));
    heading.skipFirst = reader.number(reader.at(json, "skip_first"), UINT64_MAX);
    heading.source = reader.inputs(reader.at(json, "source"));
    heading.target = reader.inputs(reader.at(json, "target"));
    const Read& gains = reader.at(json, "gains");
    heading.sourceGains = reader.gains(reader.at(gains, "source"));
    heading.targetGains = reader.gains(reader.at(gains, "target"));
    std::set<std::string> names;
    for (const Read& site : reader.list(reader.at(json, "sites"))) {
        heading.sites.push_back(reader.site(site));
        if (!names.insert(heading.sites.back().name).second) reader.refuse("has two sites of one name");
    }
    return heading;
}

}  // namespace

void writeHeading(const Statistics::Heading& heading, ByteSink& sink) {
    Json sites = Json::array();
    for (const Statistics::SiteHeading& site : heading.sites)
        sites.push_back(
            {{"name", site.name}, {"weights", site.weights}, {"known", site.known}, {"covered", site.covered}});
    Json json{{"d", heading.d},
              {"gram", heading.withGram},
              {"chosen", heading.chosen},
              {"skip_first", heading.skipFirst},
              {"source", inputsJson(heading.source)},
              {"target", inputsJson(heading.target)},
              {"gains", {{"source", namesOf(heading.sourceGains)}, {"target", namesOf(heading.targetGains)}}},
              {"sites", std::move(sites)}};
    if (heading.forMaps()) json["map_width"] = heading.mapWidth;
    const std::string text = jsonText(json);
    if (text.size() > mostJson)
        throw Error(ErrorCode::tooLarge, "",
                    "the names of these sites and files take more than 64 MiB; choose sites with --site");

    HashedSink out(sink);
    out.write(asBytes(magic));
    put<std::uint8_t>(out, 0);
    put<std::uint16_t>(out, heading.forMaps() ? versionForMaps : version);
    put<std::uint32_t>(out, static_cast<std::uint32_t>(text.size()));
    out.write(asBytes(text));
    for (const std::vector<Gains>* side : {&heading.sourceGains, &heading.targetGains})
        for (const Gains& gains : *side)
            out.write(
                std::as_bytes(std::span(gains.values)));  // little-endian hosts only: kernels/element.hpp asserts it
    sink.write(asBytes(out.hash.hex()));
}

bool Statistics::recognises(const ByteSource& file) {
    return file.size() >= magic.size() && asText(readBytes(file, 0, magic.size())) == magic;
}

ReadHeading readHeading(const ByteSource& file) {
    const std::string& where = file.name();
    const HeadingReader reader(where);
    if (!Statistics::recognises(file))
        throw Error(ErrorCode::malformed, where, "expected a statistics file, as 'regauge stats' writes them");
    if (file.size() < fixedBytes + digestBytes)
        throw Error(ErrorCode::truncated, where, "ends within its heading; copy it again");
    const std::vector<std::byte> fixed = readBytes(file, 0, fixedBytes);
    const auto found = loadLittle<std::uint16_t>(&fixed[magic.size() + 1]);
    if (found != version && found != versionForMaps)
        throw Error(ErrorCode::unsupported, where,
                    "expected version " + std::to_string(version) + " or " + std::to_string(versionForMaps) +
                        " of statistics files, found " + std::to_string(found) +
                        "; sum the rows again with this regauge");
    const std::uint64_t jsonBytes = loadLittle<std::uint32_t>(&fixed[magic.size() + 3]);
    if (jsonBytes > mostJson) reader.refuse("is longer than 64 MiB");
    if (file.size() < fixedBytes + jsonBytes + digestBytes)
        throw Error(ErrorCode::truncated, where, "ends within its heading; copy it again");
    const std::vector<std::byte> text = readBytes(file, fixedBytes, jsonBytes);
    const Read json = parseJson(asText(text), where);
    if (!json.is_object()) reader.refuse("is not JSON");

    ReadHeading result;
    result.heading = headingFrom(json, reader);
    Statistics::Heading& heading = result.heading;
    if (found == versionForMaps) {
        heading.mapWidth = static_cast<std::size_t>(reader.number(reader.at(json, "map_width"), largestD));
        if (heading.mapWidth == 0 || !heading.withGram) reader.refuse("has a map of no width");
    }
    const std::uint64_t vectors = heading.sourceGains.size() + heading.targetGains.size(),
                        begin = fixedBytes + jsonBytes;
    const std::uint64_t body = begin + vectors * heading.d * sizeof(double);
    if (file.size() < body + digestBytes)
        throw Error(ErrorCode::truncated, where, "ends within its gains; copy it again");
    Sha256 hash;
    hash.update(fixed), hash.update(text);
    std::uint64_t at = begin;
    for (std::vector<Gains>* side : {&heading.sourceGains, &heading.targetGains}) {
        for (Gains& vector : *side) {
            vector.values.resize(heading.d);
            file.read(at, std::as_writable_bytes(std::span(vector.values)));
            hash.update(std::as_bytes(std::span(vector.values)));
            at += heading.d * sizeof(double);
            for (const double value : vector.values)
                if (!std::isfinite(value)) reader.refuse("has gains that are NaN or infinite");
        }
    }
    if (hash.hex() != asText(readBytes(file, body, digestBytes)))
        throw Error(
            ErrorCode::malformed, where,
            "the checksum of the heading does not fit; the bytes were damaged on their way, so copy them again");
    result.end = body + digestBytes;
    return result;
}

}  // namespace regauge

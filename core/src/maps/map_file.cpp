// Map files: safetensors. (docs/maps.md: the layout.)
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/all_finite.hpp"
#include "io/bytes.hpp"
#include "io/json_text.hpp"
#include "regauge/error.hpp"
#include "regauge/io/safetensors_writer.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/map.hpp"
#include "regauge/version.hpp"

namespace regauge {
namespace {

using Json = nlohmann::json;
using Metadata = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view formatName = "regauge-map", formatVersion = "1";
constexpr std::string_view forwardEnding = "/forward";
constexpr double wholeDoubles = 9007199254740992;  // 2^53: doubles hold every whole number up to here

// What keeps the tensors and metadata of several pairs apart.
std::string prefixOf(const MapSet& set, const Map& map) {
    return set.maps.size() == 1 ? "" : name({map.sourceSite, map.targetSite}) + "/";
}

std::string text(double value) { return Json(value).dump(); }
std::string text(bool value) { return value ? "true" : "false"; }

std::string rungsText(const std::vector<MapRung>& rungs) {
    Json list = Json::array();
    for (const MapRung& rung : rungs)
        list.push_back(
            {{"family", name(rung.family)}, {"r2", rung.r2}, {"behind", rung.behind}, {"doubt", rung.doubt}});
    return list.dump();
}

const std::string* find(const TensorFile& file, std::string_view key) {
    const auto found = std::ranges::find(file.metadata, key, &Metadata::value_type::first);
    return found == file.metadata.end() ? nullptr : &found->second;
}

// The number in the metadata, or what it is where there is none.
double number(const TensorFile& file, const std::string& key, double otherwise) {
    const std::string* value = find(file, key);
    if (value == nullptr) return otherwise;
    const Json json = parseJson(*value, placeOf(file.source->name(), key));
    if (!json.is_number())
        throw Error(ErrorCode::malformed, file.source->name(),
                    "its metadata says " + key + " = " + *value + ", which is no number");
    return json.get<double>();
}

// The whole number in the metadata, or 0.
std::uint64_t count(const TensorFile& file, const std::string& key) {
    const double value = number(file, key, 0);
    if (!(value >= 0 && value <= wholeDoubles && std::floor(value) == value))
        throw Error(ErrorCode::malformed, file.source->name(),
                    "its metadata says " + key + " = " + *find(file, key) + "; expected a whole number of rows");
    return static_cast<std::uint64_t>(value);
}

std::vector<float> floats(const TensorFile& file, const std::string& tensor, const Shape& shape) {
    const auto found = std::ranges::find_if(file.tensors, [&](const auto& one) { return one.info.name == tensor; });
    const std::string where = placeOf(file.source->name(), tensor);
    if (found == file.tensors.end())
        throw Error(ErrorCode::malformed, file.source->name(),
                    "a map file needs a tensor '" + tensor + "', and there is none");
    if (found->info.shape != shape)
        throw Error(ErrorCode::malformed, where,
                    "expected the shape " + toString(shape) + ", found " + toString(found->info.shape));
    const std::vector<std::byte> bytes = readBytes(*file.source, found->info.offset, found->info.bytes);
    std::vector<float> values(static_cast<std::size_t>(*elementCount(shape)));
    convertToFloat(bytes, found->info.dtype, values);
    if (!allFinite(values)) throw Error(ErrorCode::notFinite, where, "holds NaN or infinity; a map is finite numbers");
    return values;
}

// Nothing where the file has no such tensor.
std::vector<float> floatsIfThere(const TensorFile& file, const std::string& tensor, const Shape& shape) {
    return file.find(tensor) == nullptr ? std::vector<float>() : floats(file, tensor, shape);
}

std::vector<MapRung> readRungs(const TensorFile& file, const std::string& key) {
    std::vector<MapRung> rungs;
    const std::string* value = find(file, key);
    if (value == nullptr) return rungs;
    const Json list = parseJson(*value, placeOf(file.source->name(), key));
    if (!list.is_array()) return rungs;
    for (const Json& one : list) {
        const auto figure = [&](const char* name) {
            const auto found = one.find(name);
            return found != one.end() && found->is_number() ? found->get<double>() : 0.0;
        };
        const auto said = one.find("family");
        const auto family =
            said != one.end() && said->is_string() ? mapFamilyFromName(said->get<std::string>()) : std::nullopt;
        if (family) rungs.push_back({*family, figure("r2"), figure("behind"), figure("doubt")});
    }
    return rungs;
}

Map readMap(const TensorFile& file, const std::string& prefix, const std::string& sites) {
    Map map;
    const StoredTensor& forward = *file.find(prefix + "forward");
    if (forward.info.shape.size() != 2)
        throw Error(ErrorCode::malformed, placeOf(file.source->name(), forward.info.name),
                    "expected [target width, source width], found " + toString(forward.info.shape));
    const std::uint64_t dy = forward.info.shape[0], dx = forward.info.shape[1];
    map.targetWidth = static_cast<std::size_t>(dy), map.sourceWidth = static_cast<std::size_t>(dx);
    map.forward = floats(file, prefix + "forward", {dy, dx});
    map.forwardBias = floats(file, prefix + "forward_bias", {dy});
    map.backward = floats(file, prefix + "backward", {dx, dy});
    map.backwardBias = floats(file, prefix + "backward_bias", {dx});
    map.sourceDeviation = floatsIfThere(file, prefix + "source_deviation", {dx});
    map.targetDeviation = floatsIfThere(file, prefix + "target_deviation", {dy});
    const std::vector<float> channels = floatsIfThere(file, prefix + "channel_r2", {dy});
    map.channelR2.assign(channels.begin(), channels.end());

    std::tie(map.sourceSite, map.targetSite) = sitesOfMap(sites);
    if (const std::string* family = find(file, prefix + "family")) {
        const auto known = mapFamilyFromName(*family);
        if (!known)
            throw Error(ErrorCode::malformed, file.source->name(),
                        "its metadata says " + prefix + "family = " + *family +
                            "; expected identity, gauge, orthogonal or affine");
        map.family = *known;
    }
    const std::string* helps = find(file, prefix + "helps");
    map.helps = helps == nullptr || *helps != "false";
    map.ridge = number(file, prefix + "ridge", 0), map.ridgeBack = number(file, prefix + "ridge_back", 0);
    map.rows = count(file, prefix + "rows"), map.setAside = count(file, prefix + "set_aside");
    map.r2 = number(file, prefix + "r2", 0), map.r2Back = number(file, prefix + "r2_back", 0);
    map.ceiling = number(file, prefix + "ceiling", 1), map.roundTrip = number(file, prefix + "round_trip", 0);
    map.rungs = readRungs(file, prefix + "rungs");
    return map;
}

// A tensor file that says or shows that it is one of maps.
bool holdsMaps(const TensorFile& file) {
    if (file.format != FileFormat::safetensors) return false;
    if (const std::string* format = find(file, "format"); format != nullptr && *format == formatName) return true;
    return file.find("forward") != nullptr && file.find("forward_bias") != nullptr &&
           file.find("backward") != nullptr && file.find("backward_bias") != nullptr;
}

}  // namespace

void writeMaps(const MapSet& set, ByteSink& out) {
    std::vector<NewTensor> tensors;
    std::vector<std::vector<float>> channels;  // as float32
    channels.reserve(set.maps.size());
    std::string sites;
    Metadata metadata{{"format", std::string(formatName)},
                      {"version", std::string(formatVersion)},
                      {"regauge", std::string(version)}};
    Metadata ofMaps;
    for (const Map& map : set.maps) {
        const std::string prefix = prefixOf(set, map);
        sites += (sites.empty() ? "" : ",") + name({map.sourceSite, map.targetSite});
        const auto add = [&](const char* tensor, const std::vector<float>& values, Shape shape) {
            if (values.empty()) return;
            tensors.push_back({prefix + tensor, Dtype::F32, std::move(shape), std::as_bytes(std::span(values))});
        };
        const std::uint64_t dx = map.sourceWidth, dy = map.targetWidth;
        channels.emplace_back(map.channelR2.begin(), map.channelR2.end());
        add("forward", map.forward, {dy, dx}), add("forward_bias", map.forwardBias, {dy});
        add("backward", map.backward, {dx, dy}), add("backward_bias", map.backwardBias, {dx});
        add("channel_r2", channels.back(), {dy});
        add("source_deviation", map.sourceDeviation, {dx}), add("target_deviation", map.targetDeviation, {dy});
        const auto say = [&](const char* key, std::string value) {
            ofMaps.emplace_back(prefix + key, std::move(value));
        };
        say("family", std::string(name(map.family))), say("helps", text(map.helps));
        say("rows", std::to_string(map.rows)), say("set_aside", std::to_string(map.setAside));
        say("ridge", text(map.ridge)), say("ridge_back", text(map.ridgeBack));
        say("r2", text(map.r2)), say("r2_back", text(map.r2Back)), say("ceiling", text(map.ceiling));
        say("round_trip", text(map.roundTrip)), say("rungs", rungsText(map.rungs));
    }
    metadata.emplace_back("sites", sites);
    metadata.insert(metadata.end(), ofMaps.begin(), ofMaps.end());
    metadata.insert(metadata.end(), {{"source", set.source.name},
                                     {"source_sha256", set.source.sha256},
                                     {"target", set.target.name},
                                     {"target_sha256", set.target.sha256},
                                     {"fingerprint", set.fingerprint()}});
    writeSafetensors(tensors, metadata, out);
}

bool isMapFile(const ByteSource& file) {
    try {
        return holdsMaps(openTensorFile(std::shared_ptr<const ByteSource>(std::shared_ptr<const void>(), &file)));
    } catch (const Error&) {
        return false;  // damaged files are refused by whoever reads them
    }
}

MapSet readMaps(const Files& files, const std::string& path) {
    const TensorFile file = openTensorFile(files.open(path));
    if (!holdsMaps(file))
        throw Error(ErrorCode::malformed, path,
                    "is no map file: expected a safetensors file with forward, forward_bias, backward and "
                    "backward_bias, as 'regauge map SOURCE TARGET -o map.safetensors' writes it");
    if (const std::string* later = find(file, "version"); later != nullptr && *later != formatVersion)
        throw Error(ErrorCode::unsupported, path,
                    "is a map file of version " + *later + ", and this regauge reads version " +
                        std::string(formatVersion) + "; use a newer regauge");
    MapSet set;
    const std::string* sites = find(file, "sites");
    if (file.find("forward") != nullptr) {
        set.maps.push_back(readMap(file, "", sites == nullptr ? "rows" : *sites));
    } else {
        for (const StoredTensor& tensor : file.tensors) {
            const std::string& name = tensor.info.name;
            if (!name.ends_with(forwardEnding)) continue;
            const std::string pair = name.substr(0, name.size() - forwardEnding.size());
            set.maps.push_back(readMap(file, pair + "/", pair));
        }
    }
    if (set.maps.empty()) throw Error(ErrorCode::malformed, path, "is a map file without a single map");
    const auto textOf = [&](const char* key) {
        const std::string* value = find(file, key);
        return value == nullptr ? std::string() : *value;
    };
    set.source = {textOf("source"), textOf("source_sha256")};
    set.target = {textOf("target"), textOf("target_sha256")};
    const std::string said = textOf("fingerprint");
    if (said.empty())
        for (Map& map : set.maps) map.judged = false;
    else if (said != set.fingerprint())
        throw Error(ErrorCode::malformed, path,
                    "its matrices are not those that its fingerprint names; it was changed after it was written");
    return set;
}

}  // namespace regauge

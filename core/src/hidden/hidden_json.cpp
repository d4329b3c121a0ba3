// The hidden part of a gauge file.
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "hidden/hidden_object.hpp"
#include "hidden/match_hidden.hpp"
#include "io/json_text.hpp"
#include "io/number_text.hpp"
#include "io/whole_number.hpp"
#include "model/head_dim.hpp"
#include "regauge/error.hpp"
#include "regauge/hidden.hpp"

namespace regauge {
namespace {

using Json = nlohmann::ordered_json;
using Read = nlohmann::json;

constexpr std::uint64_t hiddenVersion = 1;

// The shortest numbers that read back as the same floats.
Json floats(const std::vector<float>& values) {
    Json list = Json::array();
    for (const float value : values) list.push_back(std::strtod(numberText(value).c_str(), nullptr));
    return list;
}

// Six decimals, as everywhere in the file.
Json rounded(const std::vector<double>& values) {
    Json list = Json::array();
    for (const double value : values) list.push_back(std::round(value * 1e6) / 1e6);
    return list;
}

void addScores(Json& layer, const char* key, const std::vector<double> HiddenScores::*list, const HiddenLayer& of) {
    if ((of.neuronScores.*list).empty() && (of.headScores.*list).empty()) return;
    layer[key] = {{"neurons", rounded(of.neuronScores.*list)}, {"heads", rounded(of.headScores.*list)}};
}

Json layerJson(const HiddenLayer& of) {
    Json layer;
    layer["neurons"] = of.neurons;
    layer["neuron_sign"] = of.neuronSign;
    if (!of.neuronScale.empty()) layer["neuron_scale"] = floats(of.neuronScale);
    layer["kv_heads"] = of.kvHeads;
    layer["heads"] = of.heads;
    if (!of.turn.empty()) layer["turn"] = floats(of.turn);
    if (!of.freeKeys.empty()) layer["free_keys"] = floats(of.freeKeys);
    if (!of.value.empty()) layer["value"] = floats(of.value);
    addScores(layer, "score", &HiddenScores::score, of);
    addScores(layer, "margin", &HiddenScores::margin, of);
    addScores(layer, "confidence", &HiddenScores::confidence, of);
    return layer;
}

// Reads the values of one object; a wrong type is an error with the key's name.
class Reader {
public:
    Reader(const Read& object, const std::string& where) : object_(object), where_(where) {}

    // Channels of a head, or planes of them; 0 where the key is not there.
    std::size_t width(const char* key) const {
        const auto found = object_.find(key);
        if (found == object_.end()) return 0;
        if (!isWholeNumber(*found, 0, static_cast<std::int64_t>(mostHeadDim)))
            refuse(key,
                   "must be a whole number from 0 to " + std::to_string(mostHeadDim) + ": no model's heads are wider");
        return found->get<std::size_t>();
    }
    // Whole numbers within [low, high].
    template <class Value>
    std::vector<Value> integers(const char* key, std::int64_t low, std::int64_t high) const {
        const auto found = object_.find(key);
        if (found == object_.end() || !found->is_array()) refuse(key, "must be a list of whole numbers");
        std::vector<Value> values;
        for (const Read& entry : *found) {
            if (!isWholeNumber(entry, low, high))
                refuse(key,
                       "holds what is no whole number from " + std::to_string(low) + " to " + std::to_string(high));
            values.push_back(static_cast<Value>(entry.get<std::int64_t>()));
        }
        return values;
    }
    template <class Value>
    std::vector<Value> numbers(const Read& object, const char* key) const {
        std::vector<Value> values;
        const auto found = object.find(key);
        if (found == object.end()) return values;
        if (!found->is_array()) refuse(key, "must be a list of numbers");
        for (const Read& entry : *found) {
            constexpr double believed = 1e12;  // as of the other numbers of gauge files
            if (!entry.is_number() || !(std::fabs(entry.get<double>()) <= believed))
                refuse(key, "holds what is no number within 10^12 of 0");
            values.push_back(static_cast<Value>(entry.get<double>()));
        }
        return values;
    }
    std::vector<float> floats(const char* key) const { return numbers<float>(object_, key); }
    // {"neurons": [..], "heads": [..]}
    void scores(const char* key, std::vector<double> HiddenScores::*list, HiddenLayer& layer,
                const HiddenShape& shape) const {
        const auto found = object_.find(key);
        if (found == object_.end()) return;
        if (!found->is_object()) refuse(key, "must be an object with lists of neurons and heads");
        layer.neuronScores.*list = numbers<double>(*found, "neurons");
        layer.headScores.*list = numbers<double>(*found, "heads");
        const auto fits = [](const std::vector<double>& values, std::size_t n) {
            return values.empty() || values.size() == n;
        };
        if (!fits(layer.neuronScores.*list, shape.neurons) || !fits(layer.headScores.*list, shape.heads))
            refuse(key, "must hold one number for every neuron and head");
    }

private:
    [[noreturn]] void refuse(const std::string& key, const std::string& sentence) const {
        throw Error(ErrorCode::malformed, where_, "hidden: \"" + key + "\" " + sentence);
    }
    const Read& object_;
    const std::string& where_;
};

HiddenLayer layerOf(const Read& object, const HiddenShape& shape, const std::string& where) {
    if (!object.is_object()) throw Error(ErrorCode::malformed, where, "hidden: a layer must be an object");
    const Reader reader(object, where);
    const auto below = [](std::size_t n) { return static_cast<std::int64_t>(n) - 1; };
    HiddenLayer layer;
    layer.neurons = reader.integers<std::uint32_t>("neurons", 0, below(shape.neurons));
    layer.neuronSign = object.contains("neuron_sign") ? reader.integers<std::int8_t>("neuron_sign", -1, 1)
                                                      : std::vector<std::int8_t>(shape.neurons, 1);
    layer.neuronScale = reader.floats("neuron_scale");
    layer.kvHeads = reader.integers<std::uint32_t>("kv_heads", 0, below(shape.kvHeads));
    layer.heads = reader.integers<std::uint32_t>("heads", 0, below(shape.heads));
    layer.turn = reader.floats("turn");
    layer.freeKeys = reader.floats("free_keys");
    layer.value = reader.floats("value");
    reader.scores("score", &HiddenScores::score, layer, shape);
    reader.scores("margin", &HiddenScores::margin, layer, shape);
    reader.scores("confidence", &HiddenScores::confidence, layer, shape);
    return layer;
}

}  // namespace

void requireReadable(const HiddenShape& shape, const std::string& where) {
    constexpr double lists = 6, scores = 4;  // of a neuron; of a head beside its matrices
    const auto square = [](std::size_t n) { return static_cast<double>(n) * static_cast<double>(n); };
    const double perKey = 2.0 * static_cast<double>(shape.pairs) + square(shape.free()) + square(shape.headDim) + 1;
    const double numbers = static_cast<double>(shape.layers) *
                           (lists * static_cast<double>(shape.neurons) + scores * static_cast<double>(shape.heads) +
                            perKey * static_cast<double>(shape.kvHeads));
    // Beside them the residual part has five numbers a channel, and the lists themselves are no numbers.
    constexpr double most = static_cast<double>(mostGaugeNumbers) * 15 / 16;
    if (numbers > most)
        throw Error(ErrorCode::tooLarge, where,
                    "has heads and neurons whose gauge would be a file of " +
                        std::to_string(std::llround(numbers / 1e6)) + " million numbers, and gauge files of at most " +
                        std::to_string(std::llround(most / 1e6)) + " million are read; align without --hidden");
}

Json hiddenObject(const HiddenGauge& hidden) {
    const HiddenShape& shape = hidden.shape();
    Json part;
    part["version"] = hiddenVersion;
    part["head_dim"] = shape.headDim;
    part["rope_pairs"] = shape.pairs;
    part["layers"] = Json::array();
    for (const HiddenLayer& layer : hidden.layers()) part["layers"].push_back(layerJson(layer));
    part["fingerprint"] = hidden.fingerprint();
    return part;
}

std::optional<HiddenGauge> hiddenFrom(const Read& file, const std::string& where) {
    if (!file.is_object() || !file.contains("hidden")) return std::nullopt;
    const Read& part = file.at("hidden");
    if (!part.is_object()) throw Error(ErrorCode::malformed, where, "\"hidden\" must be an object");
    const Reader reader(part, where);
    if (part.contains("version") && part.at("version") != hiddenVersion)
        throw Error(ErrorCode::unsupported, where,
                    "its hidden part is of a version that this regauge does not read (it reads version " +
                        std::to_string(hiddenVersion) + "); update regauge");
    const auto layers = part.find("layers");
    if (layers == part.end() || !layers->is_array() || layers->empty())
        throw Error(ErrorCode::malformed, where, "hidden: \"layers\" must be a list of layers");
    const auto lengthOf = [&](const char* key) {
        const Read& first = layers->front();
        return first.is_object() && first.contains(key) && first.at(key).is_array() ? first.at(key).size()
                                                                                    : std::size_t{0};
    };
    HiddenShape shape{layers->size(),       lengthOf("neurons"),      lengthOf("heads"),
                      lengthOf("kv_heads"), reader.width("head_dim"), reader.width("rope_pairs")};
    std::vector<HiddenLayer> all;
    for (const Read& layer : *layers) all.push_back(layerOf(layer, shape, where));
    HiddenGauge gauge(shape, std::move(all), where);
    const auto stated = part.find("fingerprint");
    if (stated != part.end() && *stated != gauge.fingerprint())
        throw Error(ErrorCode::invalidGauge, where,
                    "the hidden part's fingerprint does not fit it: the file was changed after it was written");
    return gauge;
}

std::optional<HiddenGauge> parseHidden(std::string_view text, const std::string& where) {
    return hiddenFrom(parseJson(text, where, mostGaugeNumbers), where);
}

}  // namespace regauge

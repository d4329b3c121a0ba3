#include "hidden/checkpoint.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/all_finite.hpp"
#include "io/bytes.hpp"
#include "io/float_tensor.hpp"
#include "io/json_text.hpp"
#include "recipes/recipe_table.hpp"
#include "recipes/stream_roles.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// The model_type comes first: a family that is not known is refused by name, whatever else its configuration has.
const HiddenLayout& layoutOf(const std::string& text, const std::string& where) {
    const nlohmann::json json = parseJson(text, where);
    const auto typeOf = [](const nlohmann::json& object) {
        const auto type = object.is_object() ? object.find("model_type") : object.end();
        return type != object.end() && type->is_string() ? type->get<std::string>() : std::string();
    };
    const bool nested = json.is_object() && json.contains("text_config");
    std::string type = nested ? typeOf(json.at("text_config")) : typeOf(json);
    if (type.empty()) type = json.is_object() ? typeOf(json) : "";
    return hiddenLayout(type, where);
}

}  // namespace

HiddenCheckpoint::HiddenCheckpoint(const Files& files, const std::string& path) : path_(path) {
    files_ = openCheckpointFiles(files, path);
    for (const TensorFile& file : files_.shards)
        if (file.format != FileFormat::safetensors)
            throw Error(ErrorCode::unsupported, file.source->name(),
                        "is " + std::string(name(file.format)) +
                            ", and heads and neurons are matched in safetensors checkpoints; save it as one first");
    const std::string configPath = joinPath(files_.folder, "config.json");
    if (!files.exists(configPath))
        throw Error(ErrorCode::missingFile, configPath,
                    "is needed to tell heads apart; put the model's config.json beside its weights");
    const std::string text = readJsonText(*files.open(configPath), "a configuration");
    layout_ = &layoutOf(text, configPath);
    config_ = parseModelConfig(text, configPath);
    const std::size_t pairs = config_.rotary.empty() ? 0 : config_.rotary.front().inverseFrequency.size();
    for (const ModelConfig::Rotary& rotary : config_.rotary)
        if (rotary.inverseFrequency.size() != pairs)
            throw Error(ErrorCode::unsupported, configPath, "turns other shares of its heads in other layers");
    shape_ = {config_.layers, config_.neurons, config_.heads, config_.kvHeads, config_.headDim, pairs};
    for (std::size_t file = 0; file < files_.shards.size(); ++file)
        for (std::size_t k = 0; k < files_.shards[file].tensors.size(); ++k)
            if (const std::string& stored = files_.shards[file].tensors[k].info.name; !ofOtherStream(stored))
                places_[ownName(stored)] = {file, k};
}

std::vector<float> HiddenCheckpoint::read(const std::string& name, const Shape& shape) const {
    const auto place = places_.find(name);
    if (place == places_.end()) throw Error(ErrorCode::malformed, path_, "the tensor '" + name + "' is missing");
    const TensorFile& file = files_.shards[place->second.file];
    std::vector<float> values = readFloats(file, place->second.tensor, shape);
    if (!allFinite(values))
        throw Error(ErrorCode::notFinite, placeOf(file.source->name(), file.tensors[place->second.tensor].info.name),
                    "holds NaN or infinity");
    return values;
}

HiddenRows HiddenCheckpoint::rows(HiddenRole role, std::size_t layer, const Gauge* gauge) const {
    const std::string module = layout_->module(role, layer);
    const std::size_t n = hiddenLength(shape_, role), d = config_.d;
    std::size_t all = 0, first = 0;  // rows of the module, and the first of this role
    for (const HiddenRole one : layout_->together(role)) {
        if (one == role) first = all;
        all += hiddenLength(shape_, one);
    }
    const bool columns = sumsOverHidden(role);
    const std::vector<float> weight = read(module + ".weight", columns ? Shape{d, n} : Shape{all, d});
    std::vector<float> bias;
    if (!columns && places_.contains(module + ".bias")) bias = read(module + ".bias", {all});

    HiddenRows result{n, d + (bias.empty() ? 0 : 1), {}};
    result.value.resize(n * result.width);
    for (std::size_t c = 0; c < d; ++c) {
        const std::size_t from = gauge != nullptr ? gauge->perm()[c] : c;
        const float sign = gauge != nullptr && gauge->sign()[c] < 0 ? -1.0F : 1.0F;
        for (std::size_t i = 0; i < n; ++i)
            result.value[i * result.width + c] =
                sign * (columns ? weight[from * n + i] : weight[(first + i) * d + from]);
    }
    for (std::size_t i = 0; !bias.empty() && i < n; ++i) result.value[i * result.width + d] = bias[first + i];
    return result;
}

}  // namespace regauge

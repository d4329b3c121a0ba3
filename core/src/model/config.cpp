#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <set>

#include "io/json_text.hpp"
#include "model/head_dim.hpp"
#include "recipes/quantisation.hpp"
#include "regauge/error.hpp"
#include "regauge/model.hpp"

namespace regauge {
namespace {

using Json = nlohmann::json;

constexpr std::size_t mostLayers = 10000;  // Llama 3.1 405B has 126

// Reads typed values; a wrong type is an error with the key's name.
class Reader {
public:
    Reader(const Json& object, const std::string& where) : object_(object), where_(where) {}

    bool has(const char* key) const { return object_.contains(key) && !object_.at(key).is_null(); }
    template <class Value>
    Value get(const char* key, Value otherwise) const {
        if (!has(key)) return otherwise;
        try {
            return object_.at(key).get<Value>();
        } catch (const Json::exception&) {
            throw Error(ErrorCode::malformed, where_, std::string("\"") + key + "\" has the wrong type");
        }
    }
    std::size_t size(const char* key) const {
        if (!has(key)) throw Error(ErrorCode::malformed, where_, std::string("\"") + key + "\" is missing");
        return size(key, 0);
    }
    std::size_t size(const char* key, std::size_t otherwise) const {
        const auto value = get<std::int64_t>(key, static_cast<std::int64_t>(otherwise));
        if (value < 0 || value > (std::int64_t{1} << 31))
            throw Error(ErrorCode::malformed, where_, std::string("\"") + key + "\" is out of range");
        return static_cast<std::size_t>(value);
    }
    const Json& operator[](const char* key) const { return object_.at(key); }
    const std::string& where() const { return where_; }

private:
    const Json& object_;
    const std::string& where_;
};

[[noreturn]] void unsupported(const std::string& where, const std::string& sentence) {
    throw Error(ErrorCode::unsupported, where, sentence);
}

ModelConfig::Activation activationFromName(const std::string& name, const std::string& where) {
    if (name == "silu" || name == "swish") return ModelConfig::Activation::silu;
    if (name == "gelu_pytorch_tanh" || name == "gelu_new") return ModelConfig::Activation::geluTanh;
    if (name == "gelu") return ModelConfig::Activation::gelu;
    unsupported(where, "the activation '" + name + "' is not computed by the reference pass");
}

// Frequencies of one layer from theta and a rope_scaling / rope_parameters object.
ModelConfig::Rotary rotary(double theta, std::size_t rotated, const Json* scaling, const std::string& where) {
    ModelConfig::Rotary result;
    for (std::size_t k = 0; k < rotated / 2; ++k)
        result.inverseFrequency.push_back(
            std::pow(theta, -2.0 * static_cast<double>(k) / static_cast<double>(rotated)));
    if (scaling == nullptr || !scaling->is_object()) return result;
    const Reader options(*scaling, where);
    const std::string type = options.get<std::string>("rope_type", options.get<std::string>("type", "default"));
    if (type == "default") return result;
    if (type == "linear") {
        for (double& frequency : result.inverseFrequency) frequency /= options.get<double>("factor", 1.0);
        return result;
    }
    if (type == "llama3") {
        // Long wavelengths are stretched by `factor`, short ones kept, those between interpolated (Llama 3.1).
        const double factor = options.get<double>("factor", 8.0), low = options.get<double>("low_freq_factor", 1.0),
                     high = options.get<double>("high_freq_factor", 4.0),
                     context = options.get<double>("original_max_position_embeddings", 8192.0);
        for (double& frequency : result.inverseFrequency) {
            const double wavelength = 2 * std::numbers::pi / frequency;
            if (wavelength > context / low)
                frequency /= factor;
            else if (wavelength >= context / high) {
                const double smooth = (context / wavelength - low) / (high - low);
                frequency = (1 - smooth) * frequency / factor + smooth * frequency;
            }
        }
        return result;
    }
    unsupported(where, "rope scaling of type '" + type +
                           "' is not computed by the reference pass (default, linear and llama3 are)");
}

// The rotary embedding and the attention window of every layer.
void setPositions(ModelConfig& config, const Reader& json) {
    const Json* parameters = json.has("rope_parameters") ? &json["rope_parameters"]
                             : json.has("rope_scaling")  ? &json["rope_scaling"]
                                                         : nullptr;
    const auto thetaOf = [&](const Json* options, double otherwise) {
        return options != nullptr && options->is_object()
                   ? Reader(*options, json.where()).get<double>("rope_theta", otherwise)
                   : otherwise;
    };
    const double share = json.get<double>(
        "partial_rotary_factor", parameters && parameters->is_object()
                                     ? Reader(*parameters, json.where()).get<double>("partial_rotary_factor", 1.0)
                                     : 1.0);
    if (!(share >= 0 && share <= 1))
        throw Error(ErrorCode::malformed, json.where(), "\"partial_rotary_factor\" must be a share from 0 to 1");
    const auto rotated = static_cast<std::size_t>(static_cast<double>(config.headDim) * share);
    const bool gemma3 = config.modelType == "gemma3_text";
    const double theta = json.get<double>("rope_theta", gemma3 ? 1e6 : 1e4);

    std::size_t sliding = json.size("sliding_window", 0);
    if (config.modelType == "qwen2" || config.modelType == "qwen3")
        if (!json.get<bool>("use_sliding_window", false)) sliding = 0;
    const bool alternates = config.modelType == "gemma2" || gemma3;
    const std::size_t pattern = json.size("sliding_window_pattern", config.modelType == "gemma2" ? 2 : 6);
    for (std::size_t layer = 0; layer < config.layers; ++layer) {
        bool local = sliding > 0;
        if (json.has("layer_types") && json["layer_types"].is_array() && layer < json["layer_types"].size())
            local = sliding > 0 && json["layer_types"][layer] == "sliding_attention";
        else if (alternates)
            local = sliding > 0 && pattern > 0 && (layer + 1) % pattern != 0;
        else if (json.has("max_window_layers") && layer < json.size("max_window_layers"))
            local = false;
        config.window.push_back(local ? sliding : 0);

        const Json* own = parameters;  // newer files hold one object a layer type
        const char* kind = local ? "sliding_attention" : "full_attention";
        if (parameters != nullptr && parameters->is_object() && parameters->contains(kind)) own = &parameters->at(kind);
        double base = thetaOf(own, theta);
        if (gemma3 && local && own == parameters) {
            base = json.get<double>("rope_local_base_freq", 1e4);
            own = nullptr;  // scaling is the global layers' alone
        }
        config.rotary.push_back(rotary(base, rotated, own, json.where()));
    }
}

// FP8 with its scales is computed; a packed weight is then no float, which is said where it is read.
void checkQuantisation(const Json& file, const std::string& where) {
    if (!file.contains("quantization_config") || !file["quantization_config"].is_object()) return;
    static const std::set<std::string> computed{"fp8", "fbgemm_fp8", "compressed-tensors", "modelopt"};
    const std::string method = Reader(file["quantization_config"], where).get<std::string>("quant_method", "");
    if (!computed.contains(method))
        unsupported(where, "the weights are quantised" + (method.empty() ? "" : " (" + method + ")") +
                               ", and the reference pass computes FP8 and GGUF; " + wayOutOfPacked(method));
}

}  // namespace

ModelConfig parseModelConfig(std::string_view text, const std::string& where) {
    const Json file = parseJson(text, where);
    if (!file.is_object()) throw Error(ErrorCode::malformed, where, "config.json must be a JSON object");
    checkQuantisation(file, where);
    const Reader json(file.contains("text_config") && file["text_config"].is_object() ? file["text_config"] : file,
                      where);

    static const std::set<std::string> families{"llama",  "mistral", "qwen2",       "qwen3", "gemma",
                                                "gemma2", "gemma3",  "gemma3_text", "olmo2", "phi3"};
    ModelConfig config;
    config.modelType = json.get<std::string>("model_type", "");
    if (!families.contains(config.modelType))
        unsupported(where, "the reference pass does not compute model_type '" + config.modelType +
                               "'; it computes llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3, olmo2 and phi3");
    if (config.modelType == "gemma3") config.modelType = "gemma3_text";
    const bool gemma = config.modelType.starts_with("gemma");

    config.d = json.size("hidden_size");
    config.layers = json.size("num_hidden_layers");
    config.heads = json.size("num_attention_heads");
    config.kvHeads = json.size("num_key_value_heads", config.heads);
    config.neurons = json.size("intermediate_size");
    config.vocabulary = json.size("vocab_size");
    if (config.d == 0 || config.heads == 0 || config.kvHeads == 0 || config.heads % config.kvHeads != 0)
        throw Error(ErrorCode::malformed, where,
                    "hidden_size, num_attention_heads and num_key_value_heads do not fit together");
    if (config.layers > mostLayers)
        throw Error(ErrorCode::malformed, where,
                    "\"num_hidden_layers\" is " + std::to_string(config.layers) + ", and no model has more than " +
                        std::to_string(mostLayers));
    config.headDim = json.size("head_dim", gemma ? 256 : config.d / config.heads);
    if (config.headDim == 0 || config.neurons == 0 || config.vocabulary == 0)
        throw Error(ErrorCode::malformed, where,
                    "says 0 where heads, neurons or tokens are counted (head_dim, "
                    "intermediate_size, vocab_size)");
    if (config.headDim > mostHeadDim)
        throw Error(ErrorCode::malformed, where,
                    "\"head_dim\" is " + std::to_string(config.headDim) + ", and no model's heads are wider than " +
                        std::to_string(mostHeadDim));
    config.normEps = json.get<double>("rms_norm_eps", 1e-6);
    config.tiedEmbeddings =
        json.get<bool>("tie_word_embeddings", Reader(file, where).get<bool>("tie_word_embeddings", gemma));

    config.gainOffset = gemma;
    config.embeddingScale = gemma ? std::sqrt(static_cast<double>(config.d)) : 1;
    config.preNorms = config.modelType != "olmo2";
    config.postNorms = config.modelType == "olmo2" || config.modelType == "gemma2" || config.modelType == "gemma3_text";
    config.headNorms = config.modelType == "qwen3" || config.modelType == "gemma3_text";
    config.projectionNorms = config.modelType == "olmo2";
    config.fused = config.modelType == "phi3";
    config.activation = activationFromName(
        json.get<std::string>("hidden_activation",
                              gemma ? "gelu_pytorch_tanh" : json.get<std::string>("hidden_act", "silu")),
        where);
    config.attentionSoftcap = json.get<double>("attn_logit_softcapping", 0.0);
    config.logitSoftcap = json.get<double>("final_logit_softcapping", 0.0);
    const bool scaled = config.modelType == "gemma2" || config.modelType == "gemma3_text";
    config.queryScale =
        1 / std::sqrt(scaled ? json.get<double>("query_pre_attn_scalar", 256.0) : static_cast<double>(config.headDim));
    setPositions(config, json);
    return config;
}

}  // namespace regauge

#include "model/gguf_config.hpp"

#include <nlohmann/json.hpp>

#include "io/json_text.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// Layers of the two models whose queries llama.cpp scales by d / heads, which their files do not say.
constexpr std::uint64_t layersOfGemma2At27B = 46, layersOfGemma3At27B = 62;

struct Same {
    const char *gguf, *json;
};
constexpr Same counts[] = {{"embedding_length", "hidden_size"},
                           {"block_count", "num_hidden_layers"},
                           {"attention.head_count", "num_attention_heads"},
                           {"attention.head_count_kv", "num_key_value_heads"},
                           {"feed_forward_length", "intermediate_size"},
                           {"attention.key_length", "head_dim"},
                           {"attention.sliding_window", "sliding_window"}};
// Nothing where the text, of the file `where`, is no number.
nlohmann::json numberOf(const std::string& text, const std::string& where) {
    nlohmann::json value = parseJson(text, where);
    return value.is_number() ? value : nlohmann::json();
}

constexpr Same reals[] = {{"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
                          {"rope.freq_base", "rope_theta"},
                          {"attn_logit_softcapping", "attn_logit_softcapping"},
                          {"final_logit_softcapping", "final_logit_softcapping"}};

}  // namespace

ModelConfig ggufModelConfig(const GgufModel& model, std::uint64_t vocabulary, bool tied, const std::string& where) {
    const std::string& family = model.architecture();
    nlohmann::json json{{"model_type", family == "gemma3" ? "gemma3_text" : family},
                        {"vocab_size", vocabulary},
                        {"tie_word_embeddings", tied}};
    for (const auto& [from, to] : counts) {
        if (const auto number = model.number(from))
            json[to] = *number;
        else if (model.value(from))
            throw Error(ErrorCode::unsupported, where,
                        family + "." + from + " is " + *model.value(from) +
                            ", one for each layer; the reference pass computes models whose layers are alike");
    }
    for (const auto& [from, to] : reals)
        if (const auto text = model.value(from)) json[to] = numberOf(*text, where);
    const auto count = [&](const char* key) { return model.number(key).value_or(0); };
    if (const std::uint64_t heads = count("attention.head_count"), d = count("embedding_length"); heads != 0) {
        const std::uint64_t head = model.number("attention.key_length").value_or(d / heads);
        if (const auto rotated = model.number("rope.dimension_count"); rotated && head != 0)
            json["partial_rotary_factor"] = static_cast<double>(*rotated) / static_cast<double>(head);
        const bool wide = (family == "gemma2" && count("block_count") == layersOfGemma2At27B) ||
                          (family == "gemma3" && count("block_count") == layersOfGemma3At27B);
        json["query_pre_attn_scalar"] = wide ? d / heads : head;
    }
    if (const auto type = model.value("rope.scaling.type"); type && *type != "none") {
        json["rope_scaling"] = {{"rope_type", *type},
                                {"factor", numberOf(model.value("rope.scaling.factor").value_or("1"), where)}};
    }
    ModelConfig config = parseModelConfig(jsonText(json), where);
    config.gainOffset = false;  // the converter has added Gemma's one
    return config;
}

}  // namespace regauge

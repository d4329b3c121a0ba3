#include "recipes/gguf_model.hpp"

#include <algorithm>
#include <charconv>

namespace regauge {
namespace {

struct Renamed {
    std::string_view gguf, checkpoint;
};
constexpr Renamed whole[] = {{"token_embd", "embed_tokens"}, {"output_norm", "norm"}, {"output", "lm_head"}};
constexpr Renamed inLayers[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},      {"attn_qkv", "self_attn.qkv_proj"},  {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"}, {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},           {"ffn_down", "mlp.down_proj"},       {"ffn_norm", "post_attention_layernorm"}};
// Of families with a norm on both sides of attention and of the MLP; GLM-4 gives them other names than Gemma and OLMo.
constexpr Renamed sandwichNorms[] = {{"ffn_norm", "pre_feedforward_layernorm"},
                                     {"post_attention_norm", "post_attention_layernorm"},
                                     {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr Renamed glm4Norms[] = {{"post_attention_norm", "post_self_attn_layernorm"},
                                 {"post_ffw_norm", "post_mlp_layernorm"}};
constexpr Renamed phi3Weights[] = {{"ffn_up", "mlp.gate_up_proj"}};

// Architectures that llama.cpp rotates by neighbouring pairs, and whose converter re-orders rows for it.
constexpr std::string_view interleaved[] = {"llama", "mistral3", "smollm3", "granite", "internlm2"};

template <std::size_t N>
std::string_view among(const Renamed (&list)[N], std::string_view name) {
    const auto found =
        std::find_if(std::begin(list), std::end(list), [&](const Renamed& entry) { return entry.gguf == name; });
    return found == std::end(list) ? std::string_view() : found->checkpoint;
}

// "blk.3.attn_q.weight" -> "3", "attn_q", ".weight".
struct Parts {
    std::string_view layer, module, ending;
};
std::optional<Parts> partsOf(std::string_view name) {
    constexpr std::string_view blocks = "blk.";
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) return std::nullopt;
    Parts parts{"", name.substr(0, dot), name.substr(dot)};
    if (!name.starts_with(blocks)) return parts;
    const std::size_t end = name.find('.', blocks.size());
    if (end >= dot) return std::nullopt;
    parts.layer = name.substr(blocks.size(), end - blocks.size());
    parts.module = name.substr(end + 1, dot - end - 1);
    return parts;
}

}  // namespace

GgufModel::GgufModel(const TensorFile& file) : metadata_(file.metadata) {
    for (const auto& [key, value] : metadata_)
        if (key == "general.architecture") architecture_ = value;
    sandwich_ = std::any_of(file.tensors.begin(), file.tensors.end(), [](const StoredTensor& tensor) {
        return tensor.info.name.ends_with(".post_ffw_norm.weight");
    });
}

std::optional<std::string> GgufModel::value(std::string_view key) const {
    const std::string full = architecture_ + "." + std::string(key);
    for (const auto& [name, text] : metadata_)
        if (name == full) return text;
    return std::nullopt;
}

std::optional<std::uint64_t> GgufModel::number(std::string_view key) const {
    const std::optional<std::string> text = value(key);
    std::uint64_t number = 0;
    if (!text) return std::nullopt;
    const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    return error == std::errc() && stop == text->data() + text->size() ? std::optional(number) : std::nullopt;
}

std::string GgufModel::nameOf(std::string_view tensor) const {
    const std::optional<Parts> parts = partsOf(tensor);
    if (!parts) return std::string(tensor);
    std::string_view name;
    if (parts->layer.empty()) {
        name = among(whole, parts->module);
        return name.empty() ? std::string(tensor) : std::string(name) + std::string(parts->ending);
    }
    if (architecture_ == "glm4")
        name = among(glm4Norms, parts->module);
    else if (sandwich_)
        name = among(sandwichNorms, parts->module);
    if (architecture_ == "phi3") name = among(phi3Weights, parts->module);
    if (name.empty()) name = among(inLayers, parts->module);
    if (name.empty()) return std::string(tensor);
    return "layers." + std::string(parts->layer) + "." + std::string(name) + std::string(parts->ending);
}

std::uint64_t GgufModel::interleavedHeads(std::string_view tensor) const {
    const std::optional<Parts> parts = partsOf(tensor);
    if (!parts || parts->layer.empty() ||
        std::find(std::begin(interleaved), std::end(interleaved), architecture_) == std::end(interleaved))
        return 0;
    const std::optional<std::uint64_t> heads = number("attention.head_count");
    if (parts->module == "attn_q") return heads.value_or(0);
    if (parts->module == "attn_k") return number("attention.head_count_kv").value_or(heads.value_or(0));
    return 0;
}

}  // namespace regauge

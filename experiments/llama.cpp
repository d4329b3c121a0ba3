#include "llama.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

namespace regauge::experiments {
namespace {

constexpr double normEps = 1e-5, ropeTheta = 10000;

torch::Tensor rmsNorm(const torch::Tensor& x, const torch::Tensor& gain) {
    return x * (x.pow(2).mean(-1, true) + normEps).rsqrt() * gain;
}

// In the order of registration, which is the order of a Hugging Face Llama.
enum LayerTensor { q, k, v, o, gate, up, down, normAttention, normMlp, perLayer };
constexpr const char* layerNames[perLayer] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                              "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                              "mlp.down_proj",    "input_layernorm",  "post_attention_layernorm"};

}  // namespace

Llama::Llama(const ModelShape& shape, std::uint64_t seed, double scale) : shape_(shape) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    const double deviation = 0.02 * scale * std::sqrt(128.0 / static_cast<double>(shape.d));
    const auto add = [&](const std::string& name, std::int64_t rows, std::int64_t columns, double size) {
        parameters_.emplace_back(name, (torch::randn({rows, columns}, generator) * size).requires_grad_());
    };
    const auto addGain = [&](const std::string& name) {
        parameters_.emplace_back(name, torch::ones({shape.d}).requires_grad_());
    };
    add("model.embed_tokens.weight", shape.vocabulary, shape.d, deviation);
    const double writing = deviation / std::sqrt(2.0 * static_cast<double>(shape.layers));
    for (std::int64_t l = 0; l < shape.layers; ++l) {
        const std::string layer = "model.layers." + std::to_string(l) + ".";
        for (int t = q; t < perLayer; ++t) {
            const std::string name = layer + layerNames[t] + ".weight";
            if (t <= v)
                add(name, shape.d, shape.d, deviation);
            else if (t == o)
                add(name, shape.d, shape.d, writing);
            else if (t <= up)
                add(name, shape.hidden, shape.d, deviation);
            else if (t == down)
                add(name, shape.d, shape.hidden, writing);
            else
                addGain(name);
        }
    }
    addGain("model.norm.weight");
    prepareRotation(torch::kFloat32);
}

Llama::Llama(const ModelShape& shape, const std::filesystem::path& folder, torch::ScalarType type)
    : Llama(shape, 0, 1) {
    if (type != torch::kFloat32) to(type);
    const NamedTensors stored = readTensors(folder / "model.safetensors");
    torch::NoGradGuard noGrad;
    for (auto& [name, parameter] : parameters_) parameter.copy_(find(stored, name));
}

void Llama::prepareRotation(torch::ScalarType type) {
    const std::int64_t half = shape_.d / shape_.heads / 2;
    const auto exponent = torch::arange(half, torch::kFloat64) / static_cast<double>(half);
    const auto angle = torch::arange(shape_.context, torch::kFloat64).unsqueeze(1) *
                       torch::pow(torch::tensor(ropeTheta, torch::kFloat64), -exponent).unsqueeze(0);
    cosine_ = angle.cos().to(type);
    sine_ = angle.sin().to(type);
    mask_ = torch::full({shape_.context, shape_.context}, -INFINITY, torch::TensorOptions(type)).triu(1);
}

void Llama::to(torch::ScalarType type) {
    for (auto& [name, parameter] : parameters_) parameter = parameter.detach().to(type).requires_grad_();
    prepareRotation(type);
}

torch::Tensor Llama::logits(const torch::Tensor& tokens, const Hook& hook) const {
    const std::int64_t length = tokens.size(1), head = shape_.d / shape_.heads;
    const torch::Tensor cosine = cosine_.slice(0, 0, length), sine = sine_.slice(0, 0, length),
                        mask = mask_.slice(0, 0, length).slice(1, 0, length);
    const auto rotate = [&](const torch::Tensor& x) {
        const auto halves = x.chunk(2, -1);
        return torch::cat({halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine}, -1);
    };
    const auto at = [&](std::int64_t place, const torch::Tensor& x) { return hook ? hook(place, x) : x; };
    const auto& embedding = parameters_.front().second;
    torch::Tensor x = at(0, torch::embedding(embedding, tokens));
    for (std::int64_t l = 0; l < shape_.layers; ++l) {
        const auto weight = [&](LayerTensor t) -> const torch::Tensor& {
            return parameters_[static_cast<std::size_t>(1 + l * perLayer + t)].second;
        };
        const auto heads = [&](const torch::Tensor& y) {
            return y.view({tokens.size(0), length, shape_.heads, head}).transpose(1, 2);
        };
        torch::Tensor u = rmsNorm(x, weight(normAttention));
        const torch::Tensor query = rotate(heads(torch::linear(u, weight(q)))),
                            key = rotate(heads(torch::linear(u, weight(k))));
        const torch::Tensor attention = torch::softmax(
            torch::matmul(query, key.transpose(-1, -2)) / std::sqrt(static_cast<double>(head)) + mask, -1);
        const torch::Tensor mixed = torch::matmul(attention, heads(torch::linear(u, weight(v))));
        x = x + torch::linear(mixed.transpose(1, 2).reshape(x.sizes()), weight(o));
        u = rmsNorm(x, weight(normMlp));
        x = at(l + 1, x + torch::linear(torch::silu(torch::linear(u, weight(gate))) * torch::linear(u, weight(up)),
                                        weight(down)));
    }
    return torch::linear(rmsNorm(x, parameters_.back().second), embedding);
}

std::vector<torch::Tensor> Llama::residuals(const torch::Tensor& tokens) const {
    torch::NoGradGuard noGrad;
    std::vector<torch::Tensor> all;
    logits(tokens, [&](std::int64_t, const torch::Tensor& x) {
        all.push_back(x);
        return x;
    });
    return all;
}

void Llama::save(const std::filesystem::path& folder) const {
    const auto number = [](std::int64_t value) { return std::to_string(value); };
    writeTensors(folder / "model.safetensors", parameters_);
    writeText(folder / "config.json",
              "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"model_type\": \"llama\",\n  \"hidden_size\": " +
                  number(shape_.d) + ",\n  \"intermediate_size\": " + number(shape_.hidden) +
                  ",\n  \"num_hidden_layers\": " + number(shape_.layers) + ",\n  \"num_attention_heads\": " +
                  number(shape_.heads) + ",\n  \"num_key_value_heads\": " + number(shape_.heads) +
                  ",\n  \"vocab_size\": " + number(shape_.vocabulary) +
                  ",\n  \"max_position_embeddings\": " + number(shape_.context) +
                  ",\n  \"rms_norm_eps\": 1e-05,\n  \"rope_theta\": 10000.0,\n  \"hidden_act\": \"silu\",\n  "
                  "\"tie_word_embeddings\": true,\n"
                  "  \"torch_dtype\": \"float32\",\n  \"attention_bias\": false,\n  \"mlp_bias\": false\n}\n");
}

torch::Tensor tokensOf(const std::vector<std::string>& texts) {
    const auto length = static_cast<std::int64_t>(texts.front().size());
    torch::Tensor tokens = torch::empty({static_cast<std::int64_t>(texts.size()), length}, torch::kInt64);
    auto at = tokens.accessor<std::int64_t, 2>();
    for (std::size_t row = 0; row < texts.size(); ++row)
        for (std::int64_t column = 0; column < length; ++column)
            at[static_cast<std::int64_t>(row)][column] =
                static_cast<unsigned char>(texts[row].at(static_cast<std::size_t>(column)));
    return tokens;
}

torch::Tensor lossOf(const Llama& model, const torch::Tensor& tokens) {
    const torch::Tensor logits = model.logits(tokens.slice(1, 0, -1));
    return torch::nn::functional::cross_entropy(logits.flatten(0, 1), tokens.slice(1, 1).flatten());
}

}  // namespace regauge::experiments

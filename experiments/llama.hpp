// A small Llama in libtorch: RMSNorm, rotary positions (half-split), SwiGLU, tied embeddings. Its parameters have
// Hugging Face's names and its folder Hugging Face's layout, so that regauge reads it as it reads any Llama.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <functional>

#include "tensors.hpp"

namespace regauge::experiments {

struct ModelShape {
    std::int64_t d = 64, layers = 2, heads = 4, hidden = 160, vocabulary = 256, context = 64;
};

class Llama {
public:
    // Gaussian weights of 0.02 * scale * sqrt(128 / d); what writes the residual stream is smaller by sqrt(2 * layers).
    // Gains are 1.
    Llama(const ModelShape& shape, std::uint64_t seed, double scale);
    // A folder that `save` or `regauge transport` wrote.
    Llama(const ModelShape& shape, const std::filesystem::path& folder, torch::ScalarType type = torch::kFloat32);

    // May change the residual stream [batch, tokens, d] where it can be read: place 0 is the embedding, place l what
    // layer l - 1 put out.
    using Hook = std::function<torch::Tensor(std::int64_t place, const torch::Tensor& residual)>;

    // Logits [batch, tokens, vocabulary] of token ids [batch, tokens].
    torch::Tensor logits(const torch::Tensor& tokens, const Hook& hook = {}) const;

    // The residual stream at every place, [batch, tokens, d] each, without gradients.
    std::vector<torch::Tensor> residuals(const torch::Tensor& tokens) const;

    // config.json and model.safetensors.
    void save(const std::filesystem::path& folder) const;

    const ModelShape& shape() const { return shape_; }
    NamedTensors& parameters() { return parameters_; }
    const NamedTensors& parameters() const { return parameters_; }

private:
    void to(torch::ScalarType type);
    void prepareRotation(torch::ScalarType type);

    ModelShape shape_;
    NamedTensors parameters_;
    torch::Tensor cosine_, sine_, mask_;
};

// Bytes as token ids [texts, length]; all texts have the same length.
torch::Tensor tokensOf(const std::vector<std::string>& texts);

// Mean next-byte loss, in nats.
torch::Tensor lossOf(const Llama& model, const torch::Tensor& tokens);

}  // namespace regauge::experiments

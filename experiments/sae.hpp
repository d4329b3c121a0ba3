// A top-k sparse autoencoder, trained here and stored in SAELens' layout, so that `regauge transport` moves its folder.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>

namespace regauge::experiments {

// SAE(x) = W_dec^T topk(W_enc^T (x - b_dec) + b_enc) + b_dec, negative activations cut off.
struct Sae {
    torch::Tensor encoder, decoder, encoderBias, centre;  // [d, latents], [latents, d], [latents], [d]
    std::int64_t k = 16;

    torch::Tensor reconstruct(const torch::Tensor& rows) const;
    // sum |x - SAE(x)|^2 / sum |x - mean|^2.
    double nmse(const torch::Tensor& rows) const;
};

// Adam on the rows [n, d]; decoder rows keep unit length.
Sae trainSae(const torch::Tensor& rows, std::int64_t latents, std::int64_t k, std::int64_t steps, std::uint64_t seed);

void saveSae(const Sae& sae, const std::filesystem::path& folder, std::int64_t place);
Sae loadSae(const std::filesystem::path& folder, std::int64_t k);

}  // namespace regauge::experiments

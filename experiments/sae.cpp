#include "sae.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include "tensors.hpp"

namespace regauge::experiments {

torch::Tensor Sae::reconstruct(const torch::Tensor& rows) const {
    const torch::Tensor all = torch::relu(torch::matmul(rows - centre, encoder) + encoderBias);
    const auto [values, places] = all.topk(k, -1);
    return torch::matmul(torch::zeros_like(all).scatter(-1, places, values), decoder) + centre;
}

double Sae::nmse(const torch::Tensor& rows) const {
    torch::NoGradGuard noGrad;
    return ((rows - reconstruct(rows)).pow(2).sum() / (rows - rows.mean(0)).pow(2).sum()).item<double>();
}

Sae trainSae(const torch::Tensor& rows, std::int64_t latents, std::int64_t k, std::int64_t steps, std::uint64_t seed) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    const double size = rows.var(0, false).sum().sqrt().item<double>();  // of a centred row
    const torch::Tensor scaled = rows / size;
    Sae sae;
    sae.k = k;
    sae.decoder = torch::nn::functional::normalize(torch::randn({latents, rows.size(1)}, generator),
                                                   torch::nn::functional::NormalizeFuncOptions().dim(-1));
    sae.encoder = sae.decoder.t().clone().requires_grad_();
    sae.decoder.requires_grad_();
    sae.encoderBias = torch::zeros({latents}).requires_grad_();
    sae.centre = scaled.mean(0).requires_grad_();
    torch::optim::Adam optimizer({sae.encoder, sae.decoder, sae.encoderBias, sae.centre},
                                 torch::optim::AdamOptions(2e-3));
    constexpr std::int64_t batch = 512;
    for (std::int64_t step = 0; step < steps; ++step) {
        if (step == steps * 2 / 3)
            static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options()).lr(4e-4);
        const torch::Tensor x = scaled.index_select(0, torch::randint(scaled.size(0), {batch}, generator));
        const torch::Tensor loss = (x - sae.reconstruct(x)).pow(2).sum(-1).mean();
        optimizer.zero_grad();
        loss.backward();
        optimizer.step();
        torch::NoGradGuard noGrad;
        sae.decoder.div_(sae.decoder.norm(2, -1, true));
    }
    // Back to the rows' own size: activations grow, the decoder stays of unit length.
    sae.encoder = sae.encoder.detach();
    sae.decoder = sae.decoder.detach();
    sae.encoderBias = sae.encoderBias.detach() * size;
    sae.centre = sae.centre.detach() * size;
    return sae;
}

void saveSae(const Sae& sae, const std::filesystem::path& folder, std::int64_t place) {
    writeTensors(folder / "sae_weights.safetensors",
                 {{"W_enc", sae.encoder}, {"W_dec", sae.decoder}, {"b_enc", sae.encoderBias}, {"b_dec", sae.centre}});
    const auto number = [](std::int64_t value) { return std::to_string(value); };
    writeText(folder / "cfg.json",
              "{\n \"architecture\": \"topk\",\n \"d_in\": " + number(sae.encoder.size(0)) +
                  ",\n \"d_sae\": " + number(sae.encoder.size(1)) + ",\n \"k\": " + number(sae.k) +
                  ",\n \"dtype\": \"float32\",\n \"device\": \"cpu\",\n \"apply_b_dec_to_input\": true,\n" +
                  " \"normalize_activations\": \"none\",\n \"reshape_activations\": \"none\",\n \"metadata\": {\n  "
                  "\"hook_name\": \"blocks." +
                  number(place - 1) + ".hook_resid_post\"\n }\n}\n");
}

Sae loadSae(const std::filesystem::path& folder, std::int64_t k) {
    const NamedTensors stored = readTensors(folder / "sae_weights.safetensors");
    return {find(stored, "W_enc"), find(stored, "W_dec"), find(stored, "b_enc"), find(stored, "b_dec"), k};
}

}  // namespace regauge::experiments

// The coordinate-indexed objects of a trained model that the tables move: its SAE and its steering vectors, made once
// for each seed.
#pragma once

#include "evaluation.hpp"
#include "sae.hpp"

namespace regauge::experiments {

constexpr std::int64_t saePlace = 1;  // the residual place that the SAE reads: after the first layer
constexpr std::int64_t saeKept = 16;  // of latents

// Residual rows at a place, [n, d], of a model over windows of a stream that no training run reads.
torch::Tensor residualRows(const Llama& model, std::int64_t place, std::int64_t windows, std::uint64_t stream);

// The SAE's folder, in the source's own coordinates.
std::filesystem::path saeOf(const Settings& settings, std::int64_t seed);

// "sentiment" or "refusal": mean of the last residual place at the last byte over positive (refused) prompts less that
// over negative (answered) ones. A model of two layers makes up its mind there: one layer earlier, at four times their
// size and added at that byte or at every one, they move the odds by 0.2 (sentiment) and 0.9 nats (refusal, which takes
// 5 to 7) at most.
// A safetensors file with one tensor "vector" [d].
std::filesystem::path vectorOf(const Settings& settings, std::int64_t seed, const std::string& what);

// A vector added to the last residual place at one byte of each text: the last of its prompt.
struct Steering {
    torch::Tensor vector;  // undefined: none
    double coefficient = 0;
};

// Logits at the last byte of each prompt, [prompts, vocabulary].
torch::Tensor lastLogits(const Llama& model, const std::vector<std::string>& prompts, const Steering& steering = {});

// Share of the prompts whose greedy continuation begins with a refusal.
double refusalRate(const Llama& model, const std::vector<std::string>& prompts, const Steering& steering = {});

}  // namespace regauge::experiments

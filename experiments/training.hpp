// AdamW training of a small Llama on the generated corpus: resumable, and the same numbers on every run of one machine.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <memory>

#include "llama.hpp"

namespace regauge::experiments {

struct Schedule {
    std::int64_t steps = 1500, batch = 12, warmup = 50;
    double rate = 5e-3;         // peak; cosine decay to a tenth
    double initialScale = 0.3;  // of the weights: with the rate, it decides how far coordinates drift
    double decay = 0.1;         // of matrices; gains are not decayed
    std::int64_t tuneSteps =
        500;  // after `steps`: tuning on the tasks alone, warmed up and decayed anew to its own peak
    double tuneRate = 3e-3;
};

// A model, its torch::optim::AdamW and the step it is at. The batch of a step depends on the stream and the step alone,
// so a run resumes from a folder.
class Trainer {
public:
    Trainer(const ModelShape& shape, const Schedule& schedule, std::uint64_t seed);
    // From a folder that `save` wrote or that regauge moved (model.safetensors and optimizer.pt).
    Trainer(const ModelShape& shape, const Schedule& schedule, const std::filesystem::path& folder,
            torch::ScalarType type = torch::kFloat32);
    // The same with the optimizer state of another file; none (empty): AdamW starts anew, at `step`.
    Trainer(const ModelShape& shape, const Schedule& schedule, const std::filesystem::path& folder,
            const std::filesystem::path& optimizer, std::int64_t step, torch::ScalarType type = torch::kFloat32);

    // One step on the stream's batch; returns the loss before it.
    double step(std::uint64_t stream);

    std::int64_t steps() const { return step_; }
    Llama& model() { return model_; }
    const Llama& model() const { return model_; }

    // config.json, model.safetensors and optimizer.pt, whose parameters are named as PyTorch's optimizers name them.
    void save(const std::filesystem::path& folder) const;

private:
    void makeOptimizer();
    void loadState(const std::filesystem::path& file);

    Schedule schedule_;
    Llama model_;
    std::unique_ptr<torch::optim::AdamW> optimizer_;
    std::int64_t step_ = 0;
};

}  // namespace regauge::experiments

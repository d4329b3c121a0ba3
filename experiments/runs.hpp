// The training runs and what is kept of them.
//
//     seed 0   base ---+-- fork 0 a, b          a base, and at each fork step two runs that see other text;
//                      +----- fork 100 a, b     all runs of a seed share coordinates, so the truth is known
//                      +-------- fork 400 a, b     these two are tuned on the tasks at their end, for the object tables
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "random.hpp"
#include "regauge/gauge.hpp"
#include "training.hpp"
#include "work.hpp"

namespace regauge::experiments {

struct Settings {
    std::string name = "full";
    ModelShape shape;
    Schedule schedule;
    std::vector<std::int64_t> forks{0, 100, 400};
    std::int64_t seeds = 5;
    std::int64_t evidenceEvery = 50, checkpointEvery = 250;
    std::vector<std::int64_t> spacings{50, 100, 250, 500};  // of checkpoints, for the traces
    std::int64_t rows = 1024;                               // of evidence
    std::int64_t saeWindows = 512, saeSteps = 1500;         // what the SAE is trained on, and how long
    std::int64_t resumeSteps = 150;                         // after the AdamW state was moved
    int signDraws = 8;  // random gauges of each share of positive signs, for the steering table
    std::uint64_t sweepGauges = 1000;
    std::filesystem::path folder;  // everything that can be made again
    unsigned threads = 2;
};

// The same models at twice the width, to see whether recovery depends on it; fewer forks and seeds.
Settings wider(const Settings& settings);

// half: 'a' or 'b'; '-' is the base, whose fork is 0.
struct RunName {
    std::int64_t seed = 0, fork = 0;
    char half = '-';
};

// The last step of a run.
std::int64_t lastStep(const Settings& settings, const RunName& run);

std::filesystem::path folderOf(const Settings& settings, const RunName& run, std::int64_t step);

// What the run saw at its steps: its stream of text.
std::uint64_t streamOf(const RunName& run);

// The coordinates in which the evidence of a checkpoint is written: a random gauge of its own, so that nothing can
// profit from shared ones.
// From the model's own coordinates to the file's.
Gauge coordinatesOf(const Settings& settings, const RunName& run, std::int64_t step);

// The same tokens for every model: 64 bytes a sequence.
torch::Tensor evidenceTokens(const Settings& settings);

// activations/resid.<place> (F16), gains and token_ids of a model, as `regauge activations` writes them, in the
// coordinates `gauge`.
void writeEvidence(const std::filesystem::path& file, const Llama& model, const torch::Tensor& tokens,
                   const Gauge& gauge);

// Trains what is not there yet. An interrupted run goes on from its last checkpoint. Throws std::runtime_error where
// the folder holds runs of other settings.
void trainAll(const Settings& settings, Work& work);

}  // namespace regauge::experiments

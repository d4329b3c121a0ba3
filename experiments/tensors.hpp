// Torch tensors in files: safetensors through regauge's own writer, and optimizer state as PyTorch's torch.save writes
// it.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "native_files.hpp"

namespace regauge::experiments {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

// F32, F16, F64 and I64 tensors, in the order given. The file appears whole or not at all.
void writeTensors(const std::filesystem::path& path, const NamedTensors& tensors);

// The float tensors of any file that the core reads, as float32 (float64 stays float64).
NamedTensors readTensors(const std::filesystem::path& path);

// The tensor of that name; throws std::runtime_error where there is none.
const torch::Tensor& find(const NamedTensors& tensors, const std::string& name);

// A .pt that torch.load opens with weights_only (no TorchScript type tags) and that regauge moves.
void writePickle(const std::filesystem::path& path, const c10::IValue& value);

void writeText(const std::filesystem::path& path, const std::string& text);
std::string readText(const std::filesystem::path& path);

}  // namespace regauge::experiments

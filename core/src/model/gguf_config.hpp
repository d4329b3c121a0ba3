// The configuration of a GGUF model's pass, from its key-values.
#pragma once

#include <cstdint>
#include <string>

#include "recipes/gguf_model.hpp"
#include "regauge/model.hpp"

namespace regauge {

// vocabulary, tied: what the tensors tell (the embedding's rows; that there is no output.weight).
// Throws Error as parseModelConfig does, and malformed where a key-value that the pass needs is missing.
ModelConfig ggufModelConfig(const GgufModel& model, std::uint64_t vocabulary, bool tied, const std::string& where);

}  // namespace regauge

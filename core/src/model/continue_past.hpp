// What generate() does once the prompt was read.
#pragma once

#include "regauge/steer.hpp"

namespace regauge {

// Continues what `past` holds. logits: [vocabulary], what the model said after its last token.
Continuation continuePast(const Model& model, Model::Past& past, std::span<const float> logits,
                          const Model::ResidualHook& hook, const GenerateOptions& options, const Progress& progress);

}  // namespace regauge

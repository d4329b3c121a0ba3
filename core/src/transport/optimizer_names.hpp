// Which parameter is number 7? PyTorch's optimizer state counts parameters; regauge moves them by name.
#pragma once

#include "transport/object_files.hpp"

namespace regauge {

// Gives the tensors "state.7.exp_avg" of a member the names "state.<parameter>.exp_avg", and says so in
// member.parameters.
// The names come from param_groups' own param_names, or from the model in the same folder in the order of its modules,
// with the grouping of the Hugging Face Trainer (decay, no decay) or in one group; numbers and shapes must all agree.
// State that is keyed by name already is left as it is.
//
//     param_groups[0].params = [0, 1, 2]     embed_tokens.weight, layers.0.self_attn.q_proj.weight, ...     (decay)
//     param_groups[1].params = [3, 4]        layers.0.input_layernorm.weight, norm.weight                   (no decay)
//
// Throws Error(unsupported) where the names cannot be told beyond doubt.
void nameParameters(Member& member, const ObjectPath& object);

}  // namespace regauge

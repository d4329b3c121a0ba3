// The shipped sample: the smallest trained pair with its vectors and SAE, in the layout of examples/.
#pragma once

#include <filesystem>

#include "evaluation.hpp"

namespace regauge::experiments {

// Writes folder/{source,target,other_run}/ and truth.json: the object pairs of seed 0, with evidence, the SAE, both
// vectors, tokens and logits.
void writeSample(const Settings& settings, const std::filesystem::path& folder);

}  // namespace regauge::experiments

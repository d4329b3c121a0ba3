// RESULTS.md and its figures, from the studies' JSON.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "evaluation.hpp"

namespace regauge::experiments {

// results: one JSON a seed for each study. Writes folder/RESULTS.md and folder/figures/*.svg.
void writeReport(const Settings& settings, const std::map<std::string, std::vector<Json>>& results,
                 const std::filesystem::path& folder);

}  // namespace regauge::experiments

// The reports of jobs as one JSON object each: what --json prints and the package answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "regauge/audit.hpp"
#include "regauge/ceiling.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/match.hpp"
#include "regauge/merge.hpp"
#include "regauge/model.hpp"
#include "regauge/recipe.hpp"
#include "regauge/steer.hpp"
#include "regauge/trace.hpp"
#include "regauge/vocabulary.hpp"

namespace regauge {

std::string summaryJson(const Alignment& alignment);
// With "hidden" in it, where the gauge has that part: fingerprint, identity, shape and the shares of sure units.
std::string summaryJson(const GaugeFile& gauge);
// What `align --hidden` found: the summary, with "hidden" and in it, beside what any gauge's summary has, kinship.
std::string hiddenJson(const HiddenAlignment& found);
// The summary, with the path and every pair that was matched.
std::string traceJson(const Trace& trace);
std::string planJson(const Plan& plan);
// tolerance: the largest logit difference that counts as the same function.
std::string verifyJson(const FunctionDifference& difference, double tolerance);
std::string auditJson(const AuditReport& report);
std::string mergeJson(const MergeReport& report);
std::string ceilingJson(const std::vector<CeilingPoint>& points, const CeilingOptions& options);
// With the tokens' text, where the vocabulary is known.
std::string continuationJson(const Continuation& continuation, const std::optional<Vocabulary>& vocabulary);
std::string steerJson(const SteerReport& report, const std::optional<Vocabulary>& vocabulary);

}  // namespace regauge

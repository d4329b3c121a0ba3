// One function a table: everything that is measured on one seed, as JSON. Each says at its definition what its keys
// mean.
#pragma once

#include "evaluation.hpp"

namespace regauge::experiments {

Json ceilingStudy(const Settings& settings, std::int64_t seed);
Json recoveryStudy(const Settings& settings, std::int64_t seed);
Json evidenceStudy(const Settings& settings, std::int64_t seed);
Json saeStudy(const Settings& settings, std::int64_t seed);
Json steeringStudy(const Settings& settings, std::int64_t seed);
Json mergeStudy(const Settings& settings, std::int64_t seed);
Json resumeStudy(const Settings& settings, std::int64_t seed);
Json sweepStudy(const Settings& settings, std::int64_t seed);

}  // namespace regauge::experiments

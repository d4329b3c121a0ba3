// The correlations that the page draws: one site's r, whole.
#pragma once

#include <string>
#include <vector>

#include "regauge/evidence.hpp"
#include "regauge/match.hpp"

namespace regauge::wasm {

struct Correlations {
    std::vector<float> r;  // d x d, row-major: r[i * d + j] = r(target channel i, source channel j)
    std::string json;      // {"d", "site", "rows"}
};

// Sums the first of options.sites, or of the common sites. Throws as match() does.
Correlations correlate(const Evidence& source, const Evidence& target, const MatchOptions& options,
                       const Progress& progress);

}  // namespace regauge::wasm

// One site's correlations between the channels of two models, whole: what matching starts from, to be drawn or read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "regauge/evidence.hpp"
#include "regauge/match.hpp"
#include "regauge/progress.hpp"

namespace regauge {

struct SiteCorrelations {
    std::string site;
    std::size_t d = 0;
    std::uint64_t rows = 0;  // summed
    std::vector<float> r;    // d x d, row-major: r[i * d + j] = r(target channel i, source channel j)
};

// Pearson correlations over the paired rows of the first of options.sites, or of the common sites; of the other
// options, rows, skipFirst and threads count. Throws as match() does.
SiteCorrelations correlateSite(const Evidence& source, const Evidence& target, const MatchOptions& options,
                               const Progress& progress);

}  // namespace regauge

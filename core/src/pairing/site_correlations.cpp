#include "regauge/site_correlations.hpp"

#include "pairing/site_sums.hpp"
#include "regauge/error.hpp"

namespace regauge {

SiteCorrelations correlateSite(const Evidence& source, const Evidence& target, const MatchOptions& options,
                               const Progress& progress) {
    const std::vector<std::string> sites = commonSites(source, target, options.sites);
    if (sites.empty())
        throw Error(ErrorCode::usage, target.name,
                    "has no site of paired rows in common with " + source.name + ", so there is nothing to correlate");
    MatchOptions plain = options;
    plain.statistic = Statistic::correlation;
    const CorrelationSums sums = sumSite(source, target, sites.front(), plain, Resolution::coarse, progress);
    SiteCorrelations found{sites.front(), sums.d(), sums.rows(), std::vector<float>(sums.d() * sums.d())};
    sums.cross(std::span<float>(found.r));
    return found;
}

}  // namespace regauge

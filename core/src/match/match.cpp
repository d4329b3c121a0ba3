#include "regauge/match.hpp"

#include <algorithm>
#include <cmath>

#include "regauge/error.hpp"
#include "score_matrix.hpp"
#include "site_sums.hpp"

namespace regauge {
namespace {

ScoreMatrix correlation(const CorrelationSums& sums) {
    ScoreMatrix scores{sums.d(), std::vector<float>(sums.d() * sums.d())};
    sums.cross(std::span<float>(scores.value));
    return scores;
}

double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

}  // namespace

Alignment match(const Evidence& source, const Evidence& target, const MatchOptions& options, const Progress& progress) {
    const std::vector<std::string> sites = commonSites(source, target, options.sites);
    if (sites.empty()) throw Error(ErrorCode::usage, "", "no common site");
    Alignment alignment;
    ScoreMatrix fused;
    for (const std::string& site : sites) {
        const SiteSums sums = sumSite(source, target, site, options, false, progress);
        const ScoreMatrix scores = correlation(sums.total());
        const Answer answer = solve(scores, options.group, progress);
        const Answer first = solve(correlation(sums.half[0]), options.group, progress), second = solve(correlation(sums.half[1]), options.group, progress);
        SiteReport report{site, "correlation", sums.half[0].rows() + sums.half[1].rows(), sums.half[0].setAside() + sums.half[1].setAside(),
                          mean(answer.score), agreement(first.gauge, second.gauge), 0, 1, answer.gauge};
        report.estimate = report.agreement;
        if (fused.value.empty()) fused = ScoreMatrix{scores.d, std::vector<float>(scores.value.size())};
        for (std::size_t k = 0; k < scores.value.size(); ++k) fused.value[k] += scores.value[k] / static_cast<float>(sites.size());
        alignment.rows = std::max(alignment.rows, report.rows);
        alignment.agreement = alignment.sites.empty() ? report.agreement : std::max(alignment.agreement, report.agreement);
        alignment.sites.push_back(report);
    }
    const Answer answer = solve(fused, options.group, progress);
    alignment.gauge = answer.gauge;
    alignment.score = answer.score;
    alignment.margin = answer.margin;
    alignment.group = options.group;
    alignment.statistic = "correlation";
    alignment.estimate = alignment.agreement;
    alignment.verdict = alignment.agreement > 0.9 ? Verdict::aligned : alignment.agreement > 0.3 ? Verdict::partial : Verdict::unrelated;
    alignment.source = {source.name, source.sha256};
    alignment.target = {target.name, target.sha256};
    return alignment;
}

}  // namespace regauge

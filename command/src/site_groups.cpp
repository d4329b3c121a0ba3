#include "site_groups.hpp"

#include <algorithm>

#include "shown.hpp"

namespace regauge {
namespace {

// Shares of channels: an answer of which so many are estimated right is sure, and two sure answers that have fewer
// channels than this in common are of different coordinates (two answers of 90 % have at least 80 % in common).
constexpr double sure = 0.9, alike = 0.8;

}  // namespace

std::vector<std::vector<std::string>> contradictingSites(const Alignment& alignment) {
    std::vector<std::vector<std::string>> groups;
    std::vector<const Gauge*> gauges;
    for (const SiteReport& site : alignment.sites) {
        // Gains say no signs.
        const bool known = site.gauge.d() == alignment.gauge.d() && site.gauge.d() > 0 && site.statistic != "gains";
        if (!known || site.estimate < sure) continue;
        const auto group = std::find_if(gauges.begin(), gauges.end(),
                                        [&](const Gauge* gauge) { return compare(*gauge, site.gauge).both >= alike; });
        if (group == gauges.end()) {
            gauges.push_back(&site.gauge);
            groups.push_back({site.name});
        } else {
            groups[static_cast<std::size_t>(group - gauges.begin())].push_back(site.name);
        }
    }
    if (groups.size() < 2) groups.clear();
    return groups;
}

std::string contradictionText(const Alignment& alignment) {
    const auto groups = contradictingSites(alignment);
    if (groups.empty()) return {};
    std::string text =
        "These sites contradict each other, each of them sure: they are not all in the same coordinates (queries, keys "
        "and other activations of heads or MLPs are not residual). Align with those that agree:\n";
    for (const auto& group : groups) {
        text += " ";
        for (const std::string& name : group) text += " --site " + shown(name);
        text += '\n';
    }
    return text;
}

}  // namespace regauge

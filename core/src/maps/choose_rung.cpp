#include "maps/choose_rung.hpp"

#include <algorithm>
#include <numeric>

namespace regauge {
namespace {

// A lower rung stands where it is behind by no more than so many standard errors of the difference, or by so much of
// the target's variance, or of what the best rung leaves unexplained: noise on the source's side makes a shrunken
// affine map a little better than the rotation that is the truth (docs/maps.md).
constexpr double standardErrors = 2, leastGain = 0.005, leastShareOfRest = 0.05;

// What a gauge that is the truth may leave beyond the best rung, as a share of what that one leaves. Two models that
// share coordinates, x = s + e and y = s + e' with drifts of one size: the gauge leaves 2 e, the best map
// e (2 s + e) / (s + e), which is between e and 2 e. So a true gauge leaves at most twice as much, and where it leaves
// more, something else than drift is between the two.
constexpr double driftShareOfRest = 1;

double sumOf(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

double errorOf(const Rung& rung) { return sumOf(rung.held.errors); }

}  // namespace

Choice chooseRung(const std::vector<Rung>& rungs, const Ladder& ladder, bool gaugeConfirmed) {
    const Rung mean = ladder.mean();
    const double total = sumOf(mean.held.total);
    const auto share = [&](double squares) { return total > 0 ? squares / total : 0; };
    const auto doubt = [&](const Rung& a, const Rung& b) { return standardErrors * share(ladder.standardError(a, b)); };
    const Rung& best = *std::ranges::min_element(rungs, {}, errorOf);
    const double rest = 1 - best.held.r2(), floor = std::max(leastGain, leastShareOfRest * rest);

    Choice choice;
    const Rung* chosen = nullptr;
    for (const Rung& rung : rungs) {
        MapRung& report = choice.reports.emplace_back();
        report.family = rung.family;
        report.r2 = rung.held.r2();
        report.behind = share(errorOf(rung) - errorOf(best));
        report.doubt = doubt(rung, best);
        const bool shared = gaugeConfirmed && rung.family <= MapFamily::gauge;
        const double allowed = std::max(floor, shared ? driftShareOfRest * rest + report.doubt : report.doubt);
        if (chosen == nullptr && report.behind <= allowed) chosen = &rung;
        // Both are exact or not at all: channels that changed places are no shrinkage.
        if (rung.family == MapFamily::gauge && chosen != nullptr && chosen->family == MapFamily::identity &&
            share(errorOf(*chosen) - errorOf(rung)) > doubt(*chosen, rung))
            chosen = &rung;
    }
    choice.rung = static_cast<std::size_t>(chosen - rungs.data());
    choice.helps = share(errorOf(mean) - errorOf(best)) > std::max(floor, doubt(mean, best));
    return choice;
}

}  // namespace regauge

// Residual gauge and hidden gauge in turns: each is evidence for the other.
#include <algorithm>
#include <utility>

#include "hidden/kinship.hpp"
#include "hidden/match_hidden.hpp"
#include "hidden/matched_rows.hpp"
#include "regauge/evidence.hpp"

namespace regauge {
namespace {

constexpr std::size_t mostRounds = 4;  // of hidden matching; the second usually settles it
constexpr double sureChannel = 0.999;  // probability; what is beyond doubt begins with 0.993 (policy.hpp)

// Nothing that fresh evidence could better.
bool settled(const Alignment& alignment) {
    return alignment.gauge.undetermined() == 0 && !alignment.confidence.empty() &&
           std::ranges::all_of(alignment.confidence, [](double one) { return one > sureChannel; });
}

}  // namespace

HiddenAlignment matchHidden(const Files& files, const std::string& source, const std::string& target,
                            const MatchOptions& options, const Progress& progress) {
    const auto a = std::make_shared<const HiddenCheckpoint>(files, source),
               b = std::make_shared<const HiddenCheckpoint>(files, target);
    requireSameArchitecture(*a, *b);
    Evidence sourceEvidence = openEvidence(files, source, options.sites),
             targetEvidence = openEvidence(files, target, options.sites);
    Alignment best = match(sourceEvidence, targetEvidence, options, progress);
    HiddenMatch hidden = matchLayers(*a, *b, best.gauge, options.threads, progress);
    const double start = hidden.report.measure;
    std::size_t rounds = 1;
    while (rounds < mostRounds && !settled(best)) {
        if (!addMatchedRows(a, b, hidden.gauge, sourceEvidence, targetEvidence)) break;
        MatchOptions all = options;
        all.sites.clear();  // those that were asked for are all that the evidence has beside the matched rows
        Alignment next = match(sourceEvidence, targetEvidence, all, progress);
        HiddenMatch matched = matchLayers(*a, *b, next.gauge, options.threads, progress);
        ++rounds;
        if (matched.report.measure < hidden.report.measure) break;
        const bool same = next.gauge == best.gauge;
        best = std::move(next), hidden = std::move(matched);
        if (same) break;
    }
    hidden.report.rounds = rounds, hidden.report.start = start;
    hidden.report.channelIdentity = channelIdentity(best);
    return {std::move(best), std::move(hidden.gauge), std::move(hidden.report)};
}

}  // namespace regauge

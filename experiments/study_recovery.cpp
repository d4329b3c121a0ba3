// Cross-run recovery: two runs of one base, matched at their ends, over the base, hop by hop, and by `regauge trace`.
#include <algorithm>
#include <map>
#include <optional>

#include "regauge/ceiling.hpp"
#include "studies.hpp"

namespace regauge::experiments {
namespace {

Json row(const Alignment& found, const Gauge& right) {
    return {{"right", compare(found.gauge, right).both},
            {"estimate", found.estimate},
            {"verdict", std::string(name(found.verdict))}};
}

// Every pair of checkpoints is matched once.
class Hops {
public:
    Hops(const Settings& settings, MatchOptions options) : settings_(settings), options_(std::move(options)) {}
    Alignment along(const std::vector<Point>& points) {
        std::optional<Alignment> all;
        for (std::size_t k = 0; k + 1 < points.size(); ++k) {
            const std::string from = evidenceOf(settings_, points[k]), to = evidenceOf(settings_, points[k + 1]);
            const auto found = known_.find({from, to});
            const Alignment& hop = found != known_.end()
                                       ? found->second
                                       : known_.emplace(std::pair(from, to), align(from, to, options_)).first->second;
            all = all ? then(*all, hop) : hop;
        }
        return *all;
    }

private:
    const Settings& settings_;
    MatchOptions options_;
    std::map<std::pair<std::string, std::string>, Alignment> known_;
};

MatchOptions at(const std::string& site) {
    MatchOptions options;
    options.sites = {site};
    return options;
}

}  // namespace

// {"rows": [{fork, steps, spacing (0: the ends alone), method, right, estimate, verdict}]}
// (plain, last) and (plain, first) have the last and the first residual site only, (whitened, last) the last; the
// others have every site.
Json recoveryStudy(const Settings& settings, std::int64_t seed) {
    Json rows = Json::array();
    const std::string last = lastSite(settings);
    struct Statistic {
        std::string suffix;
        MatchOptions options;
    };
    for (const Statistic& statistic : {Statistic{"plain, last", plain({last})},
                                       {"plain, first", plain({"resid.0"})},
                                       {"plain", plain()},
                                       {"whitened, last", at(last)},
                                       {"auto", {}}}) {
        Hops hops(settings, statistic.options);
        for (const std::int64_t fork : settings.forks)
            for (std::int64_t steps = fork + settings.checkpointEvery - fork % settings.checkpointEvery;
                 steps <= settings.schedule.steps; steps += settings.checkpointEvery) {
                const Point a{{seed, fork, 'a'}, steps}, b{{seed, fork, 'b'}, steps}, base{{seed, 0, '-'}, fork};
                const Gauge right = truth(settings, a, b);
                const auto add = [&](const std::string& method, std::int64_t spacing, const Alignment& found) {
                    rows.push_back({{"fork", fork},
                                    {"steps", steps},
                                    {"spacing", spacing},
                                    {"method", method + " (" + statistic.suffix + ")"}});
                    rows.back().update(row(found, right));
                };
                add("ends", 0, hops.along({a, b}));
                add("via base", 0, hops.along({a, base, b}));
                const bool whole = steps == settings.schedule.steps;
                for (const std::int64_t spacing : settings.spacings) {
                    if (!whole && spacing != settings.evidenceEvery) continue;
                    const std::vector<Point> points = chain(a, b, spacing);
                    add("hop by hop", spacing, hops.along(points));
                    if (statistic.suffix == "auto" || (whole && statistic.suffix == "whitened, last"))
                        add("trace", spacing, alignThrough(settings, points, statistic.options));
                }
            }
    }
    return {{"rows", rows}};
}

// {"simulated": [[positive, permutation-only, sign-marginalized]], "trained": the same on a trained model's last
// residual site}
Json ceilingStudy(const Settings& settings, std::int64_t seed) {
    Json result;
    CeilingOptions options;
    options.seed = static_cast<std::uint64_t>(seed);
    for (const CeilingPoint& point : ceiling(options))
        result["simulated"].push_back({point.positive, point.permutationOnly, point.signMarginalized});

    // The trained model against itself 50 steps earlier, in coordinates with a share of positive signs.
    const RunName run{seed, settings.forks.back(), 'a'};
    const Point source{run, settings.schedule.steps - settings.evidenceEvery}, target{run, settings.schedule.steps};
    const Gauge home = coordinatesOf(settings, run, target.step).inverse();
    const std::filesystem::path folder = scratch(settings, "ceiling", seed);
    Random random(seedOf({static_cast<std::uint64_t>(seed), 0xce11}));
    for (int step = 0; step <= 10; ++step) {
        const Gauge planted = randomGauge(home.d(), step / 10.0, random);
        // From the coordinates of training to the source's, and on to the planted ones.
        const Gauge wanted = coordinatesOf(settings, run, source.step).then(planted);
        move(evidenceOf(settings, target), alignmentOf(home.then(wanted)), folder / "target.safetensors");
        const MatchOptions signedMatching = plain({lastSite(settings)});
        MatchOptions raw = signedMatching;
        raw.group = Group::permutation;
        const std::string from = evidenceOf(settings, source), to = (folder / "target.safetensors").string();
        result["trained"].push_back({1 - static_cast<double>(planted.signFlips()) / static_cast<double>(planted.d()),
                                     compare(align(from, to, raw).gauge, planted).permutation,
                                     compare(align(from, to, signedMatching).gauge, planted).both});
    }
    return result;
}

}  // namespace regauge::experiments

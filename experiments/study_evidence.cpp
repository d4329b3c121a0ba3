// What evidence is enough, and where matching breaks: other sites and statistics, weights alone, few rows, models of
// different seeds.
#include "studies.hpp"

namespace regauge::experiments {
namespace {

Json measured(const std::string& pair, const std::string& evidence, const Alignment& found, const Gauge* right) {
    return {{"pair", pair},
            {"evidence", evidence},
            {"right", right != nullptr ? compare(found.gauge, *right).both : 0.0},
            {"estimate", found.estimate},
            {"verdict", std::string(name(found.verdict))}};
}

}  // namespace

// {"kinds": [{pair, evidence, right, estimate, verdict}], "rows": [{pair, rows, plain, auto, estimate, verdict}]}
Json evidenceStudy(const Settings& settings, std::int64_t seed) {
    Json kinds = Json::array(), rows = Json::array();
    const std::int64_t last = settings.schedule.steps, before = last - settings.checkpointEvery;
    MatchOptions lastOnly;
    lastOnly.sites = {lastSite(settings)};

    struct Case {
        std::string name;
        Point source, target;
    };
    std::vector<Case> cases;
    for (const std::int64_t fork : settings.forks)
        cases.push_back({"fork " + std::to_string(fork) + ", both runs at " + std::to_string(last),
                         {{seed, fork, 'a'}, last},
                         {{seed, fork, 'b'}, last}});
    const std::int64_t early =
        settings.forks.front() + settings.checkpointEvery - settings.forks.front() % settings.checkpointEvery;
    cases.push_back({"fork " + std::to_string(settings.forks.front()) + ", both runs at " + std::to_string(early),
                     {{seed, settings.forks.front(), 'a'}, early},
                     {{seed, settings.forks.front(), 'b'}, early}});
    cases.push_back({"one run, steps " + std::to_string(before) + " and " + std::to_string(last),
                     {{seed, settings.forks.back(), 'a'}, before},
                     {{seed, settings.forks.back(), 'a'}, last}});
    for (const Case& pair : cases) {
        const Gauge right = truth(settings, pair.source, pair.target);
        const std::string from = evidenceOf(settings, pair.source), to = evidenceOf(settings, pair.target);
        kinds.push_back(
            measured(pair.name, "activations, last site, plain", align(from, to, plain({lastSite(settings)})), &right));
        kinds.push_back(measured(pair.name, "activations, last site, whitened", align(from, to, lastOnly), &right));
        kinds.push_back(measured(pair.name, "activations, all sites", align(from, to), &right));
        const std::string fromModel = published(settings, pair.source).string(),
                          toModel = published(settings, pair.target).string();
        MatchOptions embedding;
        embedding.sites = {"embedding"};
        kinds.push_back(measured(pair.name, "weights: embedding", align(fromModel, toModel, embedding), &right));
        kinds.push_back(measured(pair.name, "weights: all", align(fromModel, toModel), &right));
    }
    // Two models that share nothing: there is no truth, only the verdict.
    const Point one{{seed, settings.forks.front(), 'a'}, last},
        other{{(seed + 1) % settings.seeds, settings.forks.front(), 'a'}, last};
    kinds.push_back(measured("different seeds", "activations, all sites",
                             align(evidenceOf(settings, one), evidenceOf(settings, other)), nullptr));
    kinds.push_back(measured("different seeds", "weights: all",
                             align(published(settings, one).string(), published(settings, other).string()), nullptr));

    for (const Case& pair : {cases[settings.forks.size() - 2], cases[settings.forks.size() - 1]})
        for (const std::uint64_t count : {4, 8, 16, 32, 64, 256, 1024}) {
            if (count > static_cast<std::uint64_t>(settings.rows)) continue;
            const Gauge right = truth(settings, pair.source, pair.target);
            const std::string from = evidenceOf(settings, pair.source), to = evidenceOf(settings, pair.target);
            MatchOptions few;
            few.rows = count;
            MatchOptions fewPlain = plain({lastSite(settings)});
            fewPlain.rows = count;
            const Alignment found = align(from, to, few);
            rows.push_back({{"pair", pair.name},
                            {"rows", count},
                            {"plain", compare(align(from, to, fewPlain).gauge, right).both},
                            {"auto", compare(found.gauge, right).both},
                            {"estimate", found.estimate},
                            {"verdict", std::string(name(found.verdict))}});
        }
    return {{"kinds", kinds}, {"rows", rows}};
}

}  // namespace regauge::experiments

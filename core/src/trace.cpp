#include "regauge/trace.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "match/confidence.hpp"
#include "match/score_matrix.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr double goodHop = 0.995;        // a hop below this is worth skipping over or around
constexpr double goodTrace = 0.98;       // and is tried while the whole path is estimated below this
constexpr double fairRoute = 0.5;        // routes estimated below this share of the best have no vote
constexpr double smallestShare = 1e-6;   // keeps logarithms finite

// Every pair of checkpoints is matched at most once.
class Edges {
public:
    Edges(const Files& files, const std::vector<std::string>& checkpoints, const MatchOptions& options, const Progress& progress)
        : files_(files), checkpoints_(checkpoints), options_(options), progress_(progress) {}

    const Alignment& match(std::size_t from, std::size_t to) {
        const auto found = edges_.find({from, to});
        if (found != edges_.end()) return found->second;
        const std::string stage = "hop " + std::to_string(from) + " to " + std::to_string(to);
        const Progress hop([&](std::string_view, std::uint64_t done, std::uint64_t total) {
            progress_.report(stage, done, total);
            return true;
        });
        const Evidence source = openEvidence(files_, checkpoints_[from]), target = openEvidence(files_, checkpoints_[to]);
        return edges_.emplace(std::pair(from, to), regauge::match(source, target, options_, hop)).first->second;
    }
    const std::map<std::pair<std::size_t, std::size_t>, Alignment>& all() const { return edges_; }

private:
    const Files& files_;
    const std::vector<std::string>& checkpoints_;
    const MatchOptions& options_;
    const Progress& progress_;
    std::map<std::pair<std::size_t, std::size_t>, Alignment> edges_;
};

// A way from the first to the last checkpoint.
struct Route {
    std::vector<std::size_t> path;
    Gauge gauge = Gauge::identity(0);
    std::vector<double> confidence;  // per target channel: every hop right
};

Route compose(std::vector<std::size_t> path, Edges& edges) {
    Route route{std::move(path), Gauge::identity(0), {}};
    for (std::size_t k = 0; k + 1 < route.path.size(); ++k) {
        const Alignment& hop = edges.match(route.path[k], route.path[k + 1]);
        if (k == 0) {
            route.gauge = hop.gauge, route.confidence = hop.confidence;
            continue;
        }
        std::vector<double> confidence(hop.gauge.d());
        for (std::size_t i = 0; i < confidence.size(); ++i) confidence[i] = hop.confidence[i] * route.confidence[hop.gauge.perm()[i]];
        route.gauge = route.gauge.then(hop.gauge);
        route.confidence = std::move(confidence);
    }
    return route;
}

// The path with the largest product of estimates over the pairs matched so far.
std::vector<std::size_t> surestPath(const Edges& edges, std::size_t checkpoints) {
    std::vector<double> best(checkpoints, -INFINITY);
    std::vector<std::size_t> before(checkpoints, 0);
    best[0] = 0;
    for (std::size_t to = 1; to < checkpoints; ++to)
        for (const auto& [ends, alignment] : edges.all()) {
            if (ends.second != to) continue;
            const double value = best[ends.first] + std::log(std::max(alignment.estimate, smallestShare));
            if (value > best[to]) best[to] = value, before[to] = ends.first;
        }
    std::vector<std::size_t> path{checkpoints - 1};
    while (path.back() != 0) path.push_back(before[path.back()]);
    std::ranges::reverse(path);
    return path;
}

double estimateOf(const std::vector<std::size_t>& path, Edges& edges) {
    double product = 1;
    for (std::size_t k = 0; k + 1 < path.size(); ++k) product *= edges.match(path[k], path[k + 1]).estimate;
    return product;
}

// Matches pairs over and around the weakest hop of the surest path, as long as the path is short of good and a weak hop is left to try.
void improve(Edges& edges, std::size_t checkpoints) {
    const auto last = static_cast<std::ptrdiff_t>(checkpoints) - 1;
    const auto matchIfThere = [&](std::ptrdiff_t from, std::ptrdiff_t to) {
        if (0 <= from && from < to && to <= last) edges.match(static_cast<std::size_t>(from), static_cast<std::size_t>(to));
    };
    std::set<std::pair<std::size_t, std::size_t>> tried;
    for (;;) {
        const std::vector<std::size_t> path = surestPath(edges, checkpoints);
        if (estimateOf(path, edges) >= goodTrace) return;
        double weakest = goodHop;
        std::pair<std::size_t, std::size_t> hop;
        for (std::size_t k = 0; k + 1 < path.size(); ++k) {
            const double estimate = edges.match(path[k], path[k + 1]).estimate;
            if (estimate < weakest && !tried.contains({path[k], path[k + 1]})) weakest = estimate, hop = {path[k], path[k + 1]};
        }
        if (weakest == goodHop) return;
        tried.insert(hop);
        const auto i = static_cast<std::ptrdiff_t>(hop.first), j = static_cast<std::ptrdiff_t>(hop.second);
        for (const auto& [from, to] : {std::pair(i - 1, j), {i, j + 1}, {i - 1, j + 1}, {i - 2, j}, {i, j + 2}}) matchIfThere(from, to);
        if (j - i > 1) matchIfThere(i, (i + j) / 2), matchIfThere((i + j) / 2, j);
    }
}

// Each route's answer counts by its log odds, channel by channel; the assignment settles what they contest.
Answer vote(const std::vector<Route>& routes, Group group, const Progress& progress) {
    const std::size_t d = routes.front().gauge.d();
    ScoreMatrix votes{d, std::vector<float>(d * d, 0.0F)};
    double best = 0;
    for (const Route& route : routes) best = std::max(best, mean(route.confidence));
    for (const Route& route : routes) {
        if (mean(route.confidence) < fairRoute * best) continue;
        for (std::size_t i = 0; i < d; ++i) {
            const double p = std::clamp(route.confidence[i], 1e-4, 1 - 1e-4);
            const double weight = std::max(std::log(p / (1 - p)) + 4, 0.01);  // + 4: a lone weak vote still counts
            votes.value[i * d + route.gauge.perm()[i]] += static_cast<float>(route.gauge.sign()[i] * weight);
        }
    }
    return solve(votes, group, progress);
}

}  // namespace

Trace trace(const Files& files, const std::vector<std::string>& checkpoints, const MatchOptions& options, const Progress& progress) {
    const std::size_t count = checkpoints.size();
    if (count < 2) throw Error(ErrorCode::usage, "", "a trace needs at least two checkpoints, the first and the last");
    Edges edges(files, checkpoints, options, progress);
    const std::size_t last = count - 1;
    edges.match(0, last);
    for (std::size_t k = 0; k < last; ++k) edges.match(k, k + 1);
    improve(edges, count);

    std::vector<std::size_t> everyOne(count);
    for (std::size_t k = 0; k < count; ++k) everyOne[k] = k;
    std::vector<Route> routes{compose(surestPath(edges, count), edges)};
    for (const std::vector<std::size_t>& path : {std::vector<std::size_t>{0, last}, everyOne})
        if (std::ranges::none_of(routes, [&](const Route& route) { return route.path == path; })) routes.push_back(compose(path, edges));

    Trace result;
    result.path = routes.front().path;
    result.direct = mean(edges.match(0, last).confidence);
    result.hopByHop = mean(compose(everyOne, edges).confidence);
    for (std::size_t k = 0; k + 1 < result.path.size(); ++k) {
        const Alignment& hop = edges.match(result.path[k], result.path[k + 1]);
        result.hops.push_back({result.path[k], result.path[k + 1], hop});
        if (hop.estimate < result.hops[result.weakest].alignment.estimate) result.weakest = k;
    }
    for (const auto& [ends, alignment] : edges.all()) result.tried.push_back({ends.first, ends.second, alignment});

    Alignment composed = result.hops.front().alignment;
    for (std::size_t k = 1; k < result.hops.size(); ++k) composed = then(composed, result.hops[k].alignment);
    composed.gauge = vote(routes, options.group, progress).gauge;
    composed.confidence.assign(composed.gauge.d(), 0);
    for (const Route& route : routes)
        for (std::size_t i = 0; i < composed.gauge.d(); ++i)
            if (route.gauge.perm()[i] == composed.gauge.perm()[i] && route.gauge.sign()[i] == composed.gauge.sign()[i])
                composed.confidence[i] = std::max(composed.confidence[i], route.confidence[i]);
    composed.estimate = mean(composed.confidence);
    composed.verdict = verdictOf(composed.estimate, composed.gauge.d());
    composed.group = options.group;
    result.cycleAgreement = agreement(composed.gauge, edges.match(0, last).gauge);
    result.alignment = std::move(composed);
    return result;
}

}  // namespace regauge

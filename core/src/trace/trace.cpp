#include "regauge/trace.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "match/confidence.hpp"
#include "match/policy.hpp"
#include "recipes/config.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "scores/score_matrix.hpp"

namespace regauge {
namespace {

// Every pair of checkpoints is matched at most once.
class Edges {
public:
    Edges(const Files& files, const std::vector<std::string>& checkpoints, const MatchOptions& options,
          const Progress& progress)
        : files_(files),
          checkpoints_(checkpoints),
          options_(options),
          progress_(progress),
          hashes_(checkpoints.size()) {}

    const Alignment& match(std::size_t from, std::size_t to) {
        const auto found = edges_.find({from, to});
        if (found != edges_.end()) return found->second;
        const std::string stage = "hop " + std::to_string(from) + " to " + std::to_string(to);
        const Progress hop([&](std::string_view, std::uint64_t done, std::uint64_t total) {
            progress_.report(stage, done, total);
            return true;
        });
        const Evidence source = open(from), target = open(to);
        return edges_.emplace(std::pair(from, to), regauge::match(source, target, options_, hop)).first->second;
    }
    const std::map<std::pair<std::size_t, std::size_t>, Alignment>& all() const { return edges_; }

private:
    // A checkpoint is opened for every pair that it is in, and hashed for the first.
    Evidence open(std::size_t checkpoint) {
        Evidence evidence = openEvidence(files_, checkpoints_[checkpoint], options_.sites);
        std::optional<FileHash>& hash = hashes_[checkpoint];
        if (!hash) hash = evidence.sha256;
        evidence.sha256 = *hash;
        return evidence;
    }

    const Files& files_;
    const std::vector<std::string>& checkpoints_;
    const MatchOptions& options_;
    const Progress& progress_;
    std::vector<std::optional<FileHash>> hashes_;
    std::map<std::pair<std::size_t, std::size_t>, Alignment> edges_;
};

// A way from the first to the last checkpoint.
struct Route {
    std::vector<std::size_t> path;
    Gauge gauge = Gauge::identity(0);
    std::vector<double> confidence;  // per target channel: every hop right
    std::set<std::size_t> skipped;   // checkpoints over which its doubtful hops jump
    bool apart = true;               // skips nothing that one before it skips
};

Route compose(std::vector<std::size_t> path, Edges& edges) {
    Route route;
    route.path = std::move(path);
    for (std::size_t k = 0; k + 1 < route.path.size(); ++k) {
        const Alignment& hop = edges.match(route.path[k], route.path[k + 1]);
        if (k == 0) {
            route.gauge = hop.gauge, route.confidence = hop.confidence;
            continue;
        }
        std::vector<double> confidence(hop.gauge.d());
        for (std::size_t i = 0; i < confidence.size(); ++i)
            confidence[i] = hop.confidence[i] * route.confidence[hop.gauge.perm()[i]];
        route.gauge = route.gauge.then(hop.gauge);
        route.confidence = std::move(confidence);
    }
    return route;
}

// The surest ways to every checkpoint from the first, and from every checkpoint to the last: by the product of the
// estimates of the pairs matched so far.
class SurestPaths {
public:
    // between: leave out the direct match of the ends.
    SurestPaths(const Edges& edges, std::size_t checkpoints, bool between = false)
        : from_(checkpoints, -INFINITY),
          to_(checkpoints, -INFINITY),
          before_(checkpoints, 0),
          after_(checkpoints, checkpoints - 1) {
        from_.front() = to_.back() = 0;
        const auto reach = [&](auto&& take) {
            for (const auto& [ends, alignment] : edges.all())
                if (!between || ends != std::pair(std::size_t{0}, checkpoints - 1))
                    take(ends.first, ends.second, std::log(std::max(alignment.estimate, policy::smallestShare)));
        };
        for (std::size_t here = 1; here < checkpoints; ++here)
            reach([&](std::size_t from, std::size_t to, double weight) {
                if (to == here && from_[from] + weight > from_[to])
                    from_[to] = from_[from] + weight, before_[to] = from;
            });
        for (std::size_t here = checkpoints - 1; here-- > 0;)
            reach([&](std::size_t from, std::size_t to, double weight) {
                if (from == here && to_[to] + weight > to_[from]) to_[from] = to_[to] + weight, after_[from] = to;
            });
    }

    std::vector<std::size_t> surest() const { return through(0, after_.front()); }

    // The surest of those that take this pair.
    std::vector<std::size_t> through(std::size_t from, std::size_t to) const {
        std::vector<std::size_t> path{from};
        while (path.back() != 0) path.push_back(before_[path.back()]);
        std::ranges::reverse(path);
        for (path.push_back(to); path.back() != after_.size() - 1;) path.push_back(after_[path.back()]);
        return path;
    }

private:
    std::vector<double> from_, to_;
    std::vector<std::size_t> before_, after_;
};

double estimateOf(const std::vector<std::size_t>& path, Edges& edges) {
    double product = 1;
    for (std::size_t k = 0; k + 1 < path.size(); ++k) product *= edges.match(path[k], path[k + 1]).estimate;
    return product;
}

// Matches pairs over and around the hops of a path that are not good: all pairs of a short stretch of them with one
// checkpoint more on either side, of a long one those that skip one or two checkpoints. False where there was nothing
// new to match, or enough is.
bool matchAroundWeakHops(const std::vector<std::size_t>& path, Edges& edges, double good, std::size_t mostPairs) {
    const std::size_t before = edges.all().size();
    for (std::size_t k = 0; k + 1 < path.size(); ++k) {
        if (edges.match(path[k], path[k + 1]).estimate >= good) continue;
        std::size_t end = k + 1;
        while (end + 1 < path.size() && edges.match(path[end], path[end + 1]).estimate < good) ++end;
        const std::size_t first = k > 0 ? k - 1 : k, last = std::min(end + 1, path.size() - 1);
        for (std::size_t from = first; from < last; ++from)
            for (std::size_t to = from + 1; to <= last && edges.all().size() < mostPairs; ++to)
                if (last - first < policy::shortStretch || to - from <= policy::longestSkip)
                    edges.match(path[from], path[to]);
        if (path[end] - path[k] > 1 && end == k + 1) {  // a weak hop over several checkpoints: through the middle
            const std::size_t middle = (path[k] + path[end]) / 2;
            edges.match(path[k], middle), edges.match(middle, path[end]);
        }
        k = end;
    }
    return edges.all().size() > before;
}

// As long as neither the surest path nor the surest through at least one checkpoint between is good, and there is a
// weak hop left to try.
void improve(Edges& edges, std::size_t checkpoints) {
    const std::size_t mostPairs = policy::pairsACheckpoint * checkpoints + policy::pairsBeside;
    for (const double good : {policy::weakHop, policy::fairHop})
        for (bool more = true; more && edges.all().size() < mostPairs;) {
            const SurestPaths paths(edges, checkpoints);
            if (estimateOf(paths.surest(), edges) >= policy::goodTrace) return;
            more = false;
            for (const std::vector<std::size_t>& path :
                 {paths.surest(), SurestPaths(edges, checkpoints, true).surest()})
                if (path.size() > 2) more = matchAroundWeakHops(path, edges, good, mostPairs) || more;
        }
}

std::vector<std::size_t> everyOneOf(std::size_t checkpoints) {
    std::vector<std::size_t> path(checkpoints);
    std::iota(path.begin(), path.end(), std::size_t{0});
    return path;
}

// What drifted while checkpoints were skipped misleads every route that skips them: of such routes those after the
// first confirm less.
void tellApart(std::vector<Route>& routes) {
    std::set<std::size_t> skipped;
    for (Route& route : routes) {
        route.apart =
            std::ranges::none_of(route.skipped, [&](std::size_t checkpoint) { return skipped.contains(checkpoint); });
        if (route.apart) skipped.insert(route.skipped.begin(), route.skipped.end());
    }
}

// The routes that vote: the surest, then others that share no weak hop with one that votes already, so that no mistake
// counts twice. Of a route without weak hops any hop may be the mistake.
std::vector<Route> independentRoutes(const SurestPaths& paths, Edges& edges, std::size_t checkpoints) {
    std::set<std::vector<std::size_t>> others{{0, checkpoints - 1}, everyOneOf(checkpoints)};
    for (const auto& [ends, alignment] : edges.all()) others.insert(paths.through(ends.first, ends.second));
    others.erase(paths.surest());
    std::vector<Route> routes;
    for (const std::vector<std::size_t>& path : others) routes.push_back(compose(path, edges));
    std::ranges::stable_sort(routes, std::greater{}, [](const Route& route) { return mean(route.confidence); });
    routes.insert(routes.begin(), compose(paths.surest(), edges));

    const double fair = policy::fairRoute * mean(routes.front().confidence);
    using Hop = std::pair<std::size_t, std::size_t>;
    std::set<Hop> doubtful;
    std::vector<Route> voters;
    for (Route& route : routes) {
        std::vector<Hop> all, weak;
        for (std::size_t k = 0; k + 1 < route.path.size(); ++k) {
            all.emplace_back(route.path[k], route.path[k + 1]);
            if (edges.match(route.path[k], route.path[k + 1]).estimate < policy::weakHop) weak.push_back(all.back());
        }
        const std::vector<Hop>& own = weak.empty() ? all : weak;
        const bool shared = std::ranges::any_of(own, [&](const Hop& hop) { return doubtful.contains(hop); });
        if (!voters.empty() && (shared || mean(route.confidence) < fair)) continue;
        doubtful.insert(own.begin(), own.end());
        for (const auto& [from, to] : own)
            for (std::size_t k = from + 1; k < to; ++k) route.skipped.insert(k);
        voters.push_back(std::move(route));
    }
    tellApart(voters);
    return voters;
}

// Each route's answer counts by its log odds, channel by channel; the assignment settles what they contest.
Gauge vote(const std::vector<Route>& routes, Group group, unsigned threads, const Progress& progress) {
    if (routes.size() == 1) return routes.front().gauge;
    const std::size_t d = routes.front().gauge.d();
    ScoreMatrix votes{d, kernels::UnclearedVector<float>(d * d, 0.0F)};
    for (const Route& route : routes) {
        for (std::size_t i = 0; i < d; ++i) {
            const double p = std::clamp(route.confidence[i], policy::surestVote, 1 - policy::surestVote);
            const double weight = std::max(std::log(p / (1 - p)) + policy::loneVote, policy::leastVote);
            votes.value[i * d + route.gauge.perm()[i]] += static_cast<float>(route.gauge.sign()[i] * weight);
        }
    }
    return solve(votes, group, threads, progress).gauge;
}

// A channel is wrong where every route that says so is wrong, or where one that contradicts them is right. Routes that
// are more likely wrong than right may well be wrong alike: they confirm nothing.
std::vector<double> confidenceOf(const Gauge& answer, const std::vector<Route>& routes) {
    std::vector<double> confidence(answer.d());
    for (std::size_t i = 0; i < confidence.size(); ++i) {
        double wrong = 1, contradicted = 0;
        for (const Route& route : routes) {
            const double doubt = 1 - route.confidence[i];
            if (!sameAt(i, route.gauge, answer))
                contradicted = std::max(contradicted, route.confidence[i]);
            else if (route.confidence[i] > policy::confirming)
                wrong *= route.apart ? doubt : std::sqrt(doubt);
            else
                wrong = std::min(wrong, doubt);
        }
        const double supported = 1 - wrong, both = supported * contradicted;  // which cannot be
        confidence[i] = both < 1 ? (supported - both) / (1 - both) : 0;
    }
    return confidence;
}

// Where in a run a checkpoint was saved. run: its path without the last number of its name, which tells the checkpoints
// of two runs apart; "" where there is no number.
struct Saved {
    std::string path, run;
    std::optional<std::uint64_t> step;  // global_step in the trainer_state.json of its folder, else that number
};

Saved savedAt(const Files& files, const std::string& checkpoint) {
    Saved saved{checkpoint, "", std::nullopt};
    const std::string path = withoutSlashes(checkpoint);
    std::string name = fileNameOf(path);
    if (const std::size_t dot = name.find_last_of('.'); dot != std::string::npos && dot > 0 && !files.isFolder(path))
        name.resize(dot);
    if (const std::size_t end = name.find_last_of("0123456789"); end != std::string::npos) {
        const std::size_t begin = name.find_last_not_of("0123456789", end) + 1;  // npos + 1 is 0
        std::uint64_t step = 0;
        const auto [at, error] = std::from_chars(name.data() + begin, name.data() + end + 1, step);
        if (error == std::errc()) saved.step = step;
        saved.run = joinPath(folderOf(path), name.erase(begin, end + 1 - begin));
    }
    const std::string state = joinPath(files.isFolder(path) ? path : folderOf(path), "trainer_state.json");
    if (files.exists(state))
        if (const auto step = Config::read(*files.open(state)).number("global_step")) saved.step = step;
    return saved;
}

// Along each run steps go up, or down, from one checkpoint to the next: a shell's checkpoint-* puts 1000 before 500. A
// trace may go back along one run and forth along another.
void requireOrder(const Files& files, const std::vector<std::string>& checkpoints) {
    std::vector<Saved> all;
    for (const std::string& checkpoint : checkpoints) {
        all.push_back(savedAt(files, checkpoint));
        if (!all.back().step) return;
    }
    const auto earlier = [](const Saved& a, const Saved& b) { return a.step < b.step; };
    const auto later = [&](const Saved& a, const Saved& b) { return earlier(b, a); };
    bool ordered = true;
    for (auto begin = all.begin(); begin != all.end();) {
        const auto end = std::find_if(begin, all.end(), [&](const Saved& one) { return one.run != begin->run; });
        if (!std::is_sorted(begin, end, earlier) && !std::is_sorted(begin, end, later)) {
            std::stable_sort(begin, end, earlier);
            ordered = false;
        }
        begin = end;
    }
    if (ordered) return;
    std::string order;
    for (const Saved& one : all) order += " " + one.path;
    throw Error(ErrorCode::usage, "",
                "the checkpoints are not in the order of their steps, and a trace goes through them as they are given; "
                "give them as:" +
                    order);
}

// The path, its hops and everything that was matched; not yet the answer.
Trace describe(std::vector<std::size_t> path, Edges& edges, std::size_t count) {
    Trace result;
    result.path = std::move(path);
    result.direct = mean(edges.match(0, count - 1).confidence);
    result.hopByHop = mean(compose(everyOneOf(count), edges).confidence);
    for (std::size_t k = 0; k + 1 < result.path.size(); ++k) {
        const Alignment& hop = edges.match(result.path[k], result.path[k + 1]);
        result.hops.push_back({result.path[k], result.path[k + 1], hop, {}});
        if (hop.estimate < result.hops[result.weakest].alignment.estimate) result.weakest = k;
    }
    for (const auto& [ends, alignment] : edges.all()) {
        const auto from = std::ranges::find(result.path, ends.first), to = std::ranges::find(result.path, ends.second);
        result.tried.push_back({ends.first, ends.second, alignment, {}});
        if (from != result.path.end() && to != result.path.end() && to - from > 1)
            result.tried.back().cycle = agreement(alignment.gauge, compose({from, to + 1}, edges).gauge);
    }
    return result;
}

}  // namespace

Trace trace(const Files& files, const std::vector<std::string>& checkpoints, const MatchOptions& options,
            const Progress& progress) {
    const std::size_t count = checkpoints.size();
    if (count < 2) throw Error(ErrorCode::usage, "", "a trace needs at least two checkpoints, the first and the last");
    requireOrder(files, checkpoints);
    Edges edges(files, checkpoints, options, progress);
    const std::size_t last = count - 1;
    edges.match(0, last);
    for (std::size_t k = 0; k < last; ++k) edges.match(k, k + 1);
    improve(edges, count);

    const SurestPaths paths(edges, count);
    const std::vector<Route> routes = independentRoutes(paths, edges, count);

    Trace result = describe(routes.front().path, edges, count);
    Alignment composed = result.hops.front().alignment;
    for (std::size_t k = 1; k < result.hops.size(); ++k) composed = then(composed, result.hops[k].alignment);
    composed.gauge = vote(routes, options.group, options.threads, progress);
    composed.confidence = confidenceOf(composed.gauge, routes);
    composed.estimate = mean(composed.confidence);
    composed.verdict = verdictOf(composed.estimate, composed.gauge.d(), composed.rows);
    composed.group = options.group;
    result.cycleAgreement = agreement(composed.gauge, edges.match(0, last).gauge);
    result.alignment = std::move(composed);
    return result;
}

}  // namespace regauge

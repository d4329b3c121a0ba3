#include "evaluation.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include "regauge/evidence.hpp"
#include "regauge/random_gauge.hpp"
#include "regauge/trace.hpp"
#include "regauge/transport.hpp"

namespace regauge::experiments {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t otherCoordinates = 0x07e4;

fs::path moveCheckpoint(const fs::path& trained, const Gauge& gauge, const fs::path& to) {
    return made(to, [&](const fs::path& aside) {
        fs::create_directories(aside);
        fs::copy_file(trained / "config.json", aside / "config.json");
        for (const char* file : {"model.safetensors", "optimizer.pt"})
            move(trained / file, alignmentOf(gauge), aside / file);
    });
}

}  // namespace

fs::path made(const fs::path& path, const std::function<void(const fs::path& aside)>& make) {
    static std::mutex mutex;
    static std::map<fs::path, std::mutex> makers;
    std::unique_lock lock(mutex);
    std::mutex& maker = makers[path];
    lock.unlock();
    const std::lock_guard making(maker);
    if (fs::exists(path)) return path;
    const fs::path aside = path.parent_path() / ("part." + path.filename().string());
    fs::remove_all(aside);
    make(aside);
    fs::rename(aside, path);
    return path;
}

std::string evidenceOf(const Settings& settings, const Point& point) {
    return (folderOf(settings, point.run, point.step) / "evidence.safetensors").string();
}

Gauge truth(const Settings& settings, const Point& from, const Point& to) {
    return coordinatesOf(settings, from.run, from.step).inverse().then(coordinatesOf(settings, to.run, to.step));
}

Gauge randomGauge(std::size_t d, double positive, Random& random) {
    std::vector<std::uint32_t> perm(d);
    std::vector<std::int8_t> sign(d, -1);
    for (std::size_t i = 0; i < d; ++i)
        perm[i] = static_cast<std::uint32_t>(i),
        sign[i] = static_cast<double>(i) < static_cast<double>(d) * positive ? 1 : -1;
    for (std::size_t i = d; i > 1; --i) std::swap(sign[i - 1], sign[random.below(i)]);
    for (std::size_t i = d; i > 1; --i) std::swap(perm[i - 1], perm[random.below(i)]);
    return Gauge(perm, sign);
}

fs::path published(const Settings& settings, const Point& point) {
    const fs::path trained = folderOf(settings, point.run, point.step);
    return moveCheckpoint(trained, coordinatesOf(settings, point.run, point.step), trained / "published");
}

std::vector<Point> chain(const Point& from, const Point& to, std::int64_t spacing) {
    const std::int64_t back = from.run.half == '-' ? from.step : from.run.fork,
                       forth = to.run.half == '-' ? to.step : to.run.fork;
    const std::int64_t shared = std::min(back, forth);
    const RunName base{from.run.seed, 0, '-'};
    const auto between = [&](const RunName& run, std::int64_t low, std::int64_t high) {  // (low, high], ascending
        std::vector<Point> points;
        for (std::int64_t step = high; step > low; step -= spacing) points.push_back({run, step});
        std::ranges::reverse(points);
        return points;
    };
    const auto half = [&](const Point& end, std::int64_t fork) {
        std::vector<Point> points = between(base, shared, fork);
        if (end.run.half != '-') std::ranges::copy(between(end.run, fork, end.step), std::back_inserter(points));
        return points;
    };
    if (from.run.half == to.run.half && from.run.fork == to.run.fork) {  // one run: no way round
        std::vector<Point> points = between(from.run, std::min(from.step, to.step), std::max(from.step, to.step));
        points.insert(points.begin(), from.step < to.step ? from : to);
        if (from.step > to.step) std::ranges::reverse(points);
        return points;
    }
    std::vector<Point> points = half(from, back);
    std::ranges::reverse(points);
    points.push_back({base, shared});
    std::ranges::copy(half(to, forth), std::back_inserter(points));
    return points;
}

Alignment alignmentOf(const Gauge& gauge) {
    Alignment alignment;
    alignment.gauge = gauge;
    return alignment;
}

Alignment align(const std::string& source, const std::string& target, const MatchOptions& options) {
    NativeFiles files;
    return match(openEvidence(files, source), openEvidence(files, target), options);
}

Alignment alignThrough(const Settings& settings, const std::vector<Point>& points, const MatchOptions& options) {
    std::vector<std::string> paths;
    for (const Point& point : points) paths.push_back(evidenceOf(settings, point));
    return trace(NativeFiles(), paths, options).alignment;
}

MatchOptions plain(std::vector<std::string> sites) {
    MatchOptions options;
    options.statistic = Statistic::correlation;
    options.sites = std::move(sites);
    return options;
}

MatchOptions permutationOnly() {
    MatchOptions options;
    options.group = Group::permutation;
    return options;
}

std::string lastSite(const Settings& settings) { return "resid." + std::to_string(settings.shape.layers); }

std::vector<Mover> movers(const Alignment& found, const Alignment& permutationOnly) {
    const Gauge& gauge = found.gauge;
    return {{"signed", found},
            {"permutation-only", permutationOnly},
            {"signs dropped", alignmentOf(Gauge(gauge.perm(), std::vector<std::int8_t>(gauge.d(), 1)))},
            {"unmoved", alignmentOf(Gauge::identity(gauge.d()))}};
}

void move(const fs::path& object, const Alignment& gauge, const fs::path& to) {
    NativeFiles files;
    TransportOptions options;
    options.force = true;
    fs::create_directories(to.parent_path());
    transport(files, object.string(), gauge, to.string(), options);
}

Point objectSource(const Settings& settings, std::int64_t seed) {
    const RunName run{seed, settings.forks.back(), 'a'};
    return {run, lastStep(settings, run)};
}

std::vector<Pair> objectPairs(const Settings& settings, std::int64_t seed) {
    const Point source = objectSource(settings, seed);
    const RunName a = source.run, b{seed, a.fork, 'b'};
    const std::int64_t last = source.step, before = (last - 1) / settings.checkpointEvery * settings.checkpointEvery;
    const std::string evidence = evidenceOf(settings, source);

    Pair same{"same function", source, source, {}, {}, {}};
    const fs::path trained = folderOf(settings, a, last);
    const Gauge other = RandomGauges(seedOf({static_cast<std::uint64_t>(seed), otherCoordinates}))
                            .next(static_cast<std::size_t>(settings.shape.d));
    same.truth = coordinatesOf(settings, a, last).inverse().then(other);
    same.targetFolder = moveCheckpoint(trained, other, trained / "elsewhere");
    const fs::path elsewhere = made(same.targetFolder / "evidence.safetensors", [&](const fs::path& aside) {
        writeEvidence(aside, Llama(settings.shape, same.targetFolder), evidenceTokens(settings),
                      Gauge::identity(other.d()));
    });
    same.found = align(evidence, elsewhere.string());
    same.permutationOnly = align(evidence, elsewhere.string(), permutationOnly());

    std::vector<Pair> pairs{same};
    for (const auto& [name, target] :
         {std::pair<std::string, Point>{"same run, " + std::to_string(last - before) + " steps earlier", {a, before}},
          {"other run", {b, last}}}) {
        Pair pair{name, source, target, published(settings, target), {}, {}};
        pair.truth = truth(settings, source, target);
        pair.found = target.run.half == 'a' ? align(evidence, evidenceOf(settings, target))
                                            : alignThrough(settings, chain(source, target, settings.evidenceEvery));
        pair.permutationOnly = align(evidence, evidenceOf(settings, target), permutationOnly());
        pairs.push_back(pair);
    }
    return pairs;
}

fs::path scratch(const Settings& settings, const std::string& study, std::int64_t seed) {
    const fs::path folder = settings.folder / "scratch" / (study + std::to_string(seed));
    fs::create_directories(folder);
    return folder;
}

}  // namespace regauge::experiments

// What the studies share: checkpoints in coordinates of their own, the gauges between them and their truth.
#pragma once

#include <compare>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "regauge/match.hpp"
#include "runs.hpp"

namespace regauge::experiments {

using Json = nlohmann::ordered_json;

// One checkpoint of one run, in coordinates of its own (coordinatesOf): as two users would publish them.
struct Point {
    RunName run;
    std::int64_t step = 0;
};

// Makes a file or folder that is not there: aside, then renamed, so that what is there is whole. Studies that want the
// same one wait for each other.
std::filesystem::path made(const std::filesystem::path& path,
                           const std::function<void(const std::filesystem::path& aside)>& make);

std::string evidenceOf(const Settings& settings, const Point& point);

// The true gauge between two points of one seed.
Gauge truth(const Settings& settings, const Point& from, const Point& to);

// A random permutation in which a share of the channels (rounded up) keeps its sign.
Gauge randomGauge(std::size_t d, double positive, Random& random);

// The checkpoint itself (config.json, model.safetensors, optimizer.pt), moved by `regauge transport` from the
// coordinates that it was trained in. Written once.
std::filesystem::path published(const Settings& settings, const Point& point);

// From one point to another of the same seed through what their runs share: back to the fork and forward again, a
// checkpoint every `spacing` steps.
std::vector<Point> chain(const Point& from, const Point& to, std::int64_t spacing);

Alignment alignmentOf(const Gauge& gauge);
Alignment align(const std::string& source, const std::string& target, const MatchOptions& options = {});
Alignment alignThrough(const Settings& settings, const std::vector<Point>& points,
                       const MatchOptions& options = {});  // regauge trace
MatchOptions plain(std::vector<std::string> sites = {});   // the paper's statistic: correlation without whitening
MatchOptions permutationOnly();                            // raw signed matching
std::string lastSite(const Settings& settings);

// One way of moving an object, among those that every table compares.
struct Mover {
    std::string name;
    Alignment gauge;
};
// "signed": what regauge found. "permutation-only": raw signed matching of the same evidence. "signs dropped":
// regauge's permutation without its signs.
// "unmoved": the object as it is.
std::vector<Mover> movers(const Alignment& found, const Alignment& permutationOnly);

// Moves a file or folder with `regauge transport`, overwriting what is there, even by a gauge whose verdict is
// unrelated.
void move(const std::filesystem::path& object, const Alignment& gauge, const std::filesystem::path& to);

// A pair of checkpoints for the object tables, and the gauge that regauge finds between them.
struct Pair {
    std::string name;  // "same function", "same run, 250 steps earlier", "other run"
    Point source, target;
    std::filesystem::path targetFolder;  // of the target model
    Alignment found, permutationOnly;
    Gauge truth = Gauge::identity(0);
};
// From objectSource: to itself in other coordinates, to the run's checkpoint before, and to the other run's end (by
// trace).
std::vector<Pair> objectPairs(const Settings& settings, std::int64_t seed);

// The checkpoint that the objects belong to: run a of the last fork, tuned on the tasks, at its end.
Point objectSource(const Settings& settings, std::int64_t seed);

// Where a study of a seed may leave files.
std::filesystem::path scratch(const Settings& settings, const std::string& study, std::int64_t seed);

}  // namespace regauge::experiments

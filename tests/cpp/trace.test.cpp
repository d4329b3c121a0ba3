// Traces through drifting checkpoints with planted gauges: where the ends alone say nothing, where a checkpoint between
// is broken, and where all is noise.
#include "regauge/trace.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <string>

#include "memory_files.hpp"
#include "refusal.hpp"
#include "regauge/error.hpp"
#include "regauge/random_gauge.hpp"

using namespace regauge;
using regauge::test::Bytes;
using regauge::test::MemoryFiles;

namespace {

constexpr std::size_t d = 32, rows = 512;

float gaussian(std::mt19937_64& random) {
    double sum = -6;
    for (int k = 0; k < 12; ++k) sum += static_cast<double>(random() >> 11) * 0x1p-53;
    return static_cast<float>(sum);
}

Bytes npy(const std::vector<float>& values) {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " +
                         std::to_string(d) + "), }";
    header.resize(128 - 10 - 1, ' ');
    header += '\n';
    std::string text = std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(118) + '\0' + header;
    Bytes bytes(text.size() + values.size() * 4);
    std::memcpy(bytes.data(), text.data(), text.size());
    std::memcpy(bytes.data() + text.size(), values.data(), values.size() * 4);
    return bytes;
}

// Checkpoints c0.npy, c1.npy, ... in gauges of their own: each keeps `kept` of the one before (in correlation) and is
// new for the rest.
struct Series {
    Series(std::size_t count, double kept, std::uint64_t seed) {
        std::mt19937_64 random(seed);
        RandomGauges gauges(seed);
        std::vector<float> plain(rows * d);
        for (float& value : plain) value = gaussian(random);
        for (std::size_t k = 0; k < count; ++k) {
            if (k > 0)
                for (float& value : plain)
                    value = static_cast<float>(kept) * value +
                            static_cast<float>(std::sqrt(1 - kept * kept)) * gaussian(random);
            const Gauge gauge = gauges.next(d);
            std::vector<float> moved(plain.size());
            for (std::size_t row = 0; row < rows; ++row)
                for (std::size_t i = 0; i < d; ++i)
                    moved[row * d + i] = static_cast<float>(gauge.sign()[i]) * plain[row * d + gauge.perm()[i]];
            names.push_back("c" + std::to_string(k) + ".npy");
            files.contents[names.back()] = npy(moved);
            all.push_back(gauge);
        }
    }
    void spoil(std::size_t checkpoint, std::uint64_t seed) {
        std::mt19937_64 random(seed);
        std::vector<float> noise(rows * d);
        for (float& value : noise) value = gaussian(random);
        files.contents[names[checkpoint]] = npy(noise);
    }
    double right(const Gauge& found, std::size_t from, std::size_t to) const {
        return compare(found, all[from].inverse().then(all[to])).both;
    }

    MemoryFiles files;
    std::vector<std::string> names;
    std::vector<Gauge> all;
};

Gauge along(const Trace& trace) {
    Gauge gauge = Gauge::identity(d);
    for (const Hop& hop : trace.hops) gauge = gauge.then(hop.alignment.gauge);
    return gauge;
}

}  // namespace

TEST_CASE("a trace recovers what the ends alone do not") {
    const Series series(13, 0.7, 1);
    const Trace found = trace(series.files, series.names);
    const std::size_t last = series.names.size() - 1;
    for (const Hop& hop : found.tried)
        if (hop.from == 0 && hop.to == last) CHECK(series.right(hop.alignment.gauge, 0, last) < 0.3);
    CHECK(series.right(found.alignment.gauge, 0, last) == 1);
    CHECK(found.alignment.verdict == Verdict::aligned);
    CHECK(found.path.front() == 0);
    CHECK(found.path.back() == last);
    CHECK(found.direct < 0.45);
    for (const Hop& hop : found.hops) CHECK(series.right(hop.alignment.gauge, hop.from, hop.to) == 1);
    CHECK(along(found) == found.alignment.gauge);
}

TEST_CASE("a trace goes around a broken checkpoint, and names the weakest hop of its path") {
    Series series(9, 0.75, 2);
    series.spoil(4, 77);
    const Trace found = trace(series.files, series.names);
    CHECK(series.right(found.alignment.gauge, 0, 8) == 1);
    CHECK(found.alignment.verdict == Verdict::aligned);
    CHECK(std::ranges::find(found.path, std::size_t{4}) == found.path.end());
    CHECK(found.hopByHop < 0.45);
    for (const Hop& hop : found.hops) CHECK(found.hops[found.weakest].alignment.estimate <= hop.alignment.estimate);
}

TEST_CASE("pairs that skip over the path close cycles with it") {
    Series series(7, 0.6, 3);
    series.spoil(3, 5);
    const Trace found = trace(series.files, series.names);
    std::size_t closed = 0;
    for (const Hop& hop : found.tried) {
        const bool onPath = std::ranges::any_of(
            found.hops, [&](const Hop& used) { return used.from == hop.from && used.to == hop.to; });
        if (onPath) CHECK(!hop.cycle);
        if (!hop.cycle) continue;
        ++closed;
        Gauge composed = Gauge::identity(d);
        for (const Hop& used : found.hops)
            if (used.from >= hop.from && used.to <= hop.to) composed = composed.then(used.alignment.gauge);
        CHECK(*hop.cycle == compare(hop.alignment.gauge, composed).both);
    }
    CHECK(closed > 0);
}

TEST_CASE("a trace through noise is unrelated, and says so") {
    Series series(5, 0.9, 4);
    for (std::size_t k = 1; k < 5; ++k) series.spoil(k, 100 + k);
    const Trace found = trace(series.files, series.names);
    CHECK(found.alignment.verdict == Verdict::unrelated);
    CHECK(found.alignment.estimate < 0.3);
}

TEST_CASE("two checkpoints are a trace, one is none") {
    const Series series(2, 0.9, 5);
    const Trace found = trace(series.files, series.names);
    CHECK(found.path == std::vector<std::size_t>{0, 1});
    CHECK(series.right(found.alignment.gauge, 0, 1) == 1);
    CHECK(test::codeOf([&] { trace(series.files, {series.names[0]}); }) == ErrorCode::usage);
}

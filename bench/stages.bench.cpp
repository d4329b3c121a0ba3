// The stages of an alignment, one thread, for the cost model of bench/README.md (bench/cost.mjs draws it). Sums are those of one site; `quantise` is
// the part of both that reads, quantises and packs rows. `whiten` is what a sure answer takes: two poles on both sides, then both halves.
// Counter `operations`: multiplications and additions; `peak_G_ops`: how many of them a second one core could do at most.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "../tests/cpp/assignment_matrices.hpp"
#include "../tests/cpp/rows_fixture.hpp"
#include "match/whitening.hpp"
#include "peak.hpp"
#include "regauge/assignment.hpp"
#include "regauge/correlation.hpp"

namespace {

using namespace regauge;

testing::Rows uniform(std::size_t n, std::size_t d, std::uint64_t seed) {
    testing::Rows rows(n, d);
    testing::Numbers numbers(seed);
    for (float& value : rows.values) value = static_cast<float>(numbers.next() >> 40) * 0x1p-23f - 1;
    return rows;
}

void count(benchmark::State& state, double operations, double peak) {
    state.counters["operations"] = operations;
    state.counters["peak_G_ops"] = peak;
}

// Few enough rows that none is multiplied before it is asked for.
constexpr std::size_t rowsThatWait = 512;

void quantise(benchmark::State& state, std::size_t d, std::size_t n, Resolution resolution) {
    const testing::Rows x = uniform(rowsThatWait, d, 1), y = uniform(rowsThatWait, d, 2);
    const Quantizer quantizer = fitQuantizer(x.view(), "x", resolution);
    for (auto _ : state) {
        for (std::size_t done = 0; done < n; done += rowsThatWait) {
            CorrelationSums sums(quantizer, quantizer, false);
            sums.add(x.view(), y.view(), done, "x", "y");
        }
    }
    count(state, 0, 0);
}

void sum(benchmark::State& state, std::size_t d, std::size_t n, bool withGram) {
    const testing::Rows x = uniform(n, d, 1), y = uniform(n, d, 2);
    const Quantizer quantizer = fitQuantizer(x.view(), "x", withGram ? Resolution::fine : Resolution::coarse);
    for (auto _ : state) {
        CorrelationSums sums(quantizer, quantizer, withGram);
        sums.add(x.view(), y.view(), 0, "x", "y");
        benchmark::DoNotOptimize(sums.constantX());  // multiplies what waits
    }
    count(state, 2.0 * static_cast<double>(d * d) * static_cast<double>(n) * (withGram ? 2 : 1), bench::integerPeak(withGram ? 16 : 8));
}

void whitenBoth(benchmark::State& state, std::size_t d) {
    std::vector<float> gram(d * d), cross(d * d);
    testing::Numbers numbers(1);
    for (std::size_t i = 0; i < d; ++i) {
        gram[i * d + i] = 1;
        for (std::size_t j = 0; j < i; ++j) gram[i * d + j] = gram[j * d + i] = static_cast<float>(numbers.next() >> 40) * 0x1p-24f * 0.5f / static_cast<float>(d);
    }
    for (float& value : cross) value = static_cast<float>(numbers.next() >> 40) * 0x1p-24f;
    for (auto _ : state) {
        Whitener x{Symmetric(gram, d)}, y{Symmetric(gram, d)};
        for (int strength = 0; strength < 2; ++strength) x.strengthen(1, {}), y.strengthen(1, {});
        for (int half = 0; half < 2; ++half) benchmark::DoNotOptimize(whiten(x, y, cross, 1).data());
    }
    count(state, 2.0 * (4 + 4) * static_cast<double>(d) * static_cast<double>(d) * static_cast<double>(d), bench::floatPeak());
}

void assignScores(benchmark::State& state, const char* name, std::size_t d) {
    const std::vector<std::int32_t> score = testing::makeMatrix(name, d);
    for (auto _ : state) benchmark::DoNotOptimize(assign(score, d).total);
    count(state, 0, 0);
}

const bool registered = [] {
    const auto add = [](const std::string& stage, std::size_t d, std::size_t n, auto body) {
        benchmark::RegisterBenchmark(("stages/" + stage + "/" + std::to_string(d) + "/" + std::to_string(n)).c_str(), body)->Unit(benchmark::kMillisecond);
    };
    const auto sums = [&](std::size_t d, std::size_t n) {
        add("quantise", d, n, [=](benchmark::State& state) { quantise(state, d, n, Resolution::coarse); });
        add("quantise-fine", d, n, [=](benchmark::State& state) { quantise(state, d, n, Resolution::fine); });
        add("cross", d, n, [=](benchmark::State& state) { sum(state, d, n, false); });
        add("cross+gram", d, n, [=](benchmark::State& state) { sum(state, d, n, true); });
    };
    for (const std::size_t d : {std::size_t{256}, std::size_t{512}, std::size_t{1024}, std::size_t{2048}, std::size_t{4096}}) {
        sums(d, 4096);
        add("whiten", d, 0, [=](benchmark::State& state) { whitenBoth(state, d); });
        for (const char* name : {"strong", "bos"}) add(std::string("assign-") + name, d, 0, [=](benchmark::State& state) { assignScores(state, name, d); });
    }
    for (const std::size_t n : {std::size_t{1024}, std::size_t{2048}, std::size_t{8192}, std::size_t{16384}}) sums(1024, n);
    return true;
}();

}  // namespace

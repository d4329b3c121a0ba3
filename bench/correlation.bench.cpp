// Correlation sums against the machine's integer peak, and the float64 and float32 products of whitening against
// theirs.
// Counters: G ops/s, a multiplication and an addition being two (by CPU time with one thread, by the clock with more);
// for sums `share` is the part of one core's peak, measured in the same run.
// bench/peers/correlation_numpy.py runs this beside NumPy and prints the ratios.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "../tests/cpp/rows_fixture.hpp"
#include "numeric/linalg.hpp"
#include "peak.hpp"
#include "regauge/correlation.hpp"

namespace {

using namespace regauge;
using bench::integerPeak;
using testing::Rows;

Rows uniform(std::size_t n, std::size_t d, std::uint64_t seed) {
    Rows rows(n, d);
    testing::Numbers numbers(seed);
    for (float& value : rows.values) value = static_cast<float>(numbers.next() >> 40) * 0x1p-23f - 1;
    return rows;
}

void rate(benchmark::State& state, double operations) {
    state.counters["G_ops"] = benchmark::Counter(operations * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

// Quantising, packing and summing n rows of d channels; no fit, no correlations at the end.
void addRows(benchmark::State& state, std::size_t d, std::size_t n, bool withGram, unsigned threads) {
    const Rows x = uniform(n, d, 1), y = uniform(n, d, 2);
    const Quantizer quantizer = fitQuantizer(x.view(), "x");
    for (auto _ : state) {
        CorrelationSums sums(quantizer, quantizer, withGram);
        sums.add(x.view(), y.view(), 0, "x", "y", {}, threads);
        benchmark::DoNotOptimize(sums.constantX());  // multiplies what waits
    }
    const double operations = 2.0 * static_cast<double>(d * d) * static_cast<double>(n) * (withGram ? 2 : 1);
    rate(state, operations);
    if (const double best = integerPeak(8); best > 0) {
        state.counters["share"] =
            benchmark::Counter(operations * 1e-9 / best, benchmark::Counter::kIsIterationInvariantRate);
        state.counters["peak_G_ops"] = best;
    }
}

// Everything that NumPy needs for the same matrix: fit, sums, correlations.
void correlate(benchmark::State& state, std::size_t d, std::size_t n, unsigned threads) {
    const Rows x = uniform(n, d, 1), y = uniform(n, d, 2);
    std::vector<float> out(d * d);
    for (auto _ : state) {
        CorrelationSums sums(fitQuantizer(x.view(), "x"), fitQuantizer(y.view(), "y"), false);
        sums.add(x.view(), y.view(), 0, "x", "y", {}, threads);
        sums.cross(std::span(out));
        benchmark::DoNotOptimize(out.data());
    }
    rate(state, 2.0 * static_cast<double>(d * d) * static_cast<double>(n));
}

template <class T>
void product(benchmark::State& state, std::size_t n, unsigned threads) {
    const std::vector<T> a(n * n, T(0.5));
    std::vector<T> c(n * n);
    for (auto _ : state) {
        multiply(a.data(), a.data(), c.data(), n, n, n, threads);
        benchmark::DoNotOptimize(c.data());
    }
    rate(state, 2.0 * static_cast<double>(n * n) * static_cast<double>(n));
}

template <class T>
void inverse(benchmark::State& state, std::size_t n, unsigned threads) {
    std::vector<T> a(n * n, T(0.25));
    for (std::size_t i = 0; i < n; ++i) a[i * n + i] = T(2);
    for (auto _ : state) {
        std::vector<T> b = a;
        benchmark::DoNotOptimize(invertSpd(b.data(), n, threads));
    }
    rate(state, static_cast<double>(n * n) * static_cast<double>(n));
}

const bool registered = [] {
    for (const unsigned threads : {1u, 2u}) {
        const auto add = [threads](const std::string& title, auto&& body) {
            benchmark::internal::Benchmark* bench = benchmark::RegisterBenchmark(title.c_str(), body);
            bench->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
            if (threads > 1) bench->UseRealTime();  // rates: of CPU time with one thread, of the clock with more
        };
        const std::string end = "/threads:" + std::to_string(threads);
        for (const auto& [d, n] : {std::pair<std::size_t, std::size_t>{256, 16384}, {1024, 16384}, {4096, 4096}}) {
            const std::string size = std::to_string(d) + "x" + std::to_string(n);
            add("sums/cross/" + size + end, [=](benchmark::State& state) { addRows(state, d, n, false, threads); });
            add("sums/cross+gram/" + size + end, [=](benchmark::State& state) { addRows(state, d, n, true, threads); });
            add("correlate/" + size + end, [=](benchmark::State& state) { correlate(state, d, n, threads); });
        }
        for (const std::size_t n : {std::size_t{1024}, std::size_t{2048}}) {
            const std::string size = std::to_string(n);
            add("linalg/product-f32/" + size + end,
                [=](benchmark::State& state) { product<float>(state, n, threads); });
            add("linalg/product-f64/" + size + end,
                [=](benchmark::State& state) { product<double>(state, n, threads); });
            add("linalg/inverse-f32/" + size + end,
                [=](benchmark::State& state) { inverse<float>(state, n, threads); });
            add("linalg/inverse-f64/" + size + end,
                [=](benchmark::State& state) { inverse<double>(state, n, threads); });
        }
    }
    return true;
}();

}  // namespace

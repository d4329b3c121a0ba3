// The stages of an alignment, each alone, on one thread, for the cost model of bench/README.md (bench/cost.mjs draws
// it). Sums are those of one site, of rows that are packed already. `whiten` is what a sure answer takes: two poles on
// both sides, then both halves.
// Counter `floor_ms`: what it would take one core at its peak rate; 0 where nothing says.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "../tests/cpp/assignment_matrices.hpp"
#include "../tests/cpp/rows_fixture.hpp"
#include "base/sha256.hpp"
#include "correlation/float_rows.hpp"
#include "correlation/multiply_rows.hpp"
#include "kernels/quantize.hpp"
#include "numeric/whitening.hpp"
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

// operations: multiplications and additions; peak: how many of them a second one core could do, in 1e9.
void floorIs(benchmark::State& state, double operations, double peak) {
    if (peak > 0) state.counters["floor_ms"] = operations / (peak * 1e6);
}

double cubed(std::size_t d) { return static_cast<double>(d) * static_cast<double>(d) * static_cast<double>(d); }

// What both sides' evidence takes to hash.
void hash(benchmark::State& state, std::size_t d, std::size_t n) {
    const testing::Rows x = uniform(n, d, 1);
    for (auto _ : state)
        for (int side = 0; side < 2; ++side) {
            Sha256 sha;
            sha.update(std::as_bytes(std::span(x.values)));
            benchmark::DoNotOptimize(sha.hex());
        }
}

// Rows as the sums want them: each is looked at and then quantised, as CorrelationSums::add() does.
PackedRows pack(const testing::Rows& rows, const Quantizer& quantizer, const kernels::IntegerDot& dot) {
    const kernels::Quantize kernel = kernels::quantize(kernels::activeIsa());
    const RowsView view = rows.view();
    const std::size_t padded = kernels::panelsOf(view.d) * kernels::panelWidth;
    kernels::AlignedVector<float> centre(padded), inverseStep(padded);
    for (std::size_t j = 0; j < view.d; ++j) centre[j] = quantizer.centre[j], inverseStep[j] = 1 / quantizer.step[j];
    PackedRows packed(view.d, view.rows, dot.rowsPerWord);
    std::vector<const std::byte*> at(dot.rowsPerWord);
    for (std::size_t row = 0; row < view.rows; row += dot.rowsPerWord) {
        for (std::size_t k = 0; k < dot.rowsPerWord; ++k) {
            at[k] = rowData(view, row + k);
            benchmark::DoNotOptimize(kernel.sumOfSquares(at[k], view.dtype, view.d, 1));
        }
        kernel.pack(at.data(), dot.rowsPerWord, view.dtype, centre.data(), inverseStep.data(), quantizer.limit, view.d,
                    packed.group(row), PackedRows::panelWords);
    }
    return packed;
}

// Both sides.
void quantise(benchmark::State& state, std::size_t d, std::size_t n, Resolution resolution) {
    const testing::Rows x = uniform(n, d, 1);
    const Quantizer quantizer = fitQuantizer(x.view(), "x", resolution);
    const kernels::IntegerDot dot = kernels::integerDot(kernels::activeIsa(), quantizer.limit);
    for (auto _ : state)
        for (int side = 0; side < 2; ++side) benchmark::DoNotOptimize(pack(x, quantizer, dot));
}

void sum(benchmark::State& state, std::size_t d, std::size_t n, bool withGram, Resolution resolution) {
    const testing::Rows x = uniform(n, d, 1), y = uniform(n, d, 2);
    const Quantizer quantizer = fitQuantizer(x.view(), "x", resolution);
    const kernels::IntegerDot dot = kernels::integerDot(kernels::activeIsa(), quantizer.limit);
    PackedRows packedX = pack(x, quantizer, dot), packedY = pack(y, quantizer, dot);
    TileSums cross(d, TileSums::Shape::full, quantizer.limit),
        gramX(withGram ? d : 0, TileSums::Shape::lower, quantizer.limit), gramY = gramX;
    std::vector<RowProduct> products{{&packedY, &packedX, &cross}};
    if (withGram) products.insert(products.end(), {{&packedX, &packedX, &gramX}, {&packedY, &packedY, &gramY}});
    for (TileSums* sums : {&cross, &gramX, &gramY}) sums->makeRoomFor(n, 1);
    for (auto _ : state) {
        for (PackedRows* packed : {&packedX, &packedY}) sumChannels(*packed, n, dot, 1);
        multiplyRows(products, n, dot, 1);
    }
    const double operations = 2.0 * static_cast<double>(d * d) * static_cast<double>(n) * (withGram ? 2 : 1);
    floorIs(state, operations, bench::integerPeak(resolution == Resolution::fine ? 16 : 8));
}

// Memory for the sums of both halves, and correlations from them.
void correlate(benchmark::State& state, std::size_t d) {
    const testing::Rows x = uniform(64, d, 1);
    const Quantizer quantizer = fitQuantizer(x.view(), "x");
    std::vector<float> out(d * d);
    for (auto _ : state) {
        CorrelationSums sums(quantizer, quantizer, false);
        sums.add(x.view(), x.view(), 0, "x", "x");
        for (std::size_t half = 0; half < 2; ++half) sums.crossOfHalf(half, out);
        benchmark::DoNotOptimize(out.data());
    }
}

// Inverses of both sides' Gram matrices, and both halves multiplied by them: as a quick look does it, or the weakest
// whitening after that.
void whitenBoth(benchmark::State& state, std::size_t d, Resolution resolution) {
    std::vector<float> gram(d * d), cross(d * d);
    testing::Numbers numbers(1);
    for (std::size_t i = 0; i < d; ++i) {
        gram[i * d + i] = 1;
        for (std::size_t j = 0; j < i; ++j)
            gram[i * d + j] = gram[j * d + i] =
                static_cast<float>(numbers.next() >> 40) * 0x1p-24f * 0.5f / static_cast<float>(d);
    }
    for (float& value : cross) value = static_cast<float>(numbers.next() >> 40) * 0x1p-24f;
    const bool quick = resolution == Resolution::coarse;
    const std::span<const Pole> used = quick ? std::span<const Pole>(ridge) : std::span<const Pole>(poles).first(2);
    for (auto _ : state) {
        Whitener x(Symmetric(gram, d), used), y(Symmetric(gram, d), used);
        for (std::size_t pole = 0; pole < used.size(); ++pole) x.strengthen(1, {}), y.strengthen(1, {});
        const Whitening whiten(x, y, resolution, 1);
        for (int half = 0; half < 2; ++half) benchmark::DoNotOptimize(whiten(cross).data());
    }
    // Inverses in single precision of d^3 / 2 multiplications each (a factor, its inverse and its square); four
    // products, in bytes or in single precision.
    const double bytes = bench::integerPeak(8), floats = bench::floatPeak();
    const double inverses = 2 * static_cast<double>(used.size());
    if (bytes > 0) floorIs(state, inverses * cubed(d) + 8 * cubed(d) * (quick ? floats / bytes : 1), floats);
}

void assignScores(benchmark::State& state, const char* name, std::size_t d) {
    const std::vector<std::int32_t> score = testing::makeMatrix(name, d);
    for (auto _ : state) benchmark::DoNotOptimize(assign(score, d).total);
}

const bool registered = [] {
    const auto add = [](const std::string& stage, std::size_t d, std::size_t n, auto body) {
        benchmark::RegisterBenchmark(("stages/" + stage + "/" + std::to_string(d) + "/" + std::to_string(n)).c_str(),
                                     body)
            ->Unit(benchmark::kMillisecond);
    };
    const auto sums = [&](std::size_t d, std::size_t n) {
        add("hash", d, n, [=](benchmark::State& state) { hash(state, d, n); });
        add("quantise", d, n, [=](benchmark::State& state) { quantise(state, d, n, Resolution::coarse); });
        add("quantise-fine", d, n, [=](benchmark::State& state) { quantise(state, d, n, Resolution::fine); });
        add("cross", d, n, [=](benchmark::State& state) { sum(state, d, n, false, Resolution::coarse); });
        add("cross+gram-coarse", d, n, [=](benchmark::State& state) { sum(state, d, n, true, Resolution::coarse); });
        add("cross+gram", d, n, [=](benchmark::State& state) { sum(state, d, n, true, Resolution::fine); });
    };
    for (const std::size_t d :
         {std::size_t{256}, std::size_t{512}, std::size_t{1024}, std::size_t{2048}, std::size_t{4096}}) {
        sums(d, 4096);
        add("correlate", d, 0, [=](benchmark::State& state) { correlate(state, d); });
        add("whiten-quick", d, 0, [=](benchmark::State& state) { whitenBoth(state, d, Resolution::coarse); });
        add("whiten", d, 0, [=](benchmark::State& state) { whitenBoth(state, d, Resolution::fine); });
        for (const char* name : {"strong", "bos"})
            add(std::string("assign-") + name, d, 0, [=](benchmark::State& state) { assignScores(state, name, d); });
    }
    for (const std::size_t n : {std::size_t{1024}, std::size_t{2048}, std::size_t{8192}, std::size_t{16384}})
        sums(1024, n);
    return true;
}();

}  // namespace

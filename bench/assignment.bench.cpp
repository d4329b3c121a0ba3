// The assignment on its permanent test matrices. bench/peers/assignment_scipy.py runs this beside SciPy and prints the
// ratios.
// With REGAUGE_BENCH_MATRICES=<folder> each matrix is also written there, as <name>-<n>.i32 (row-major, this machine's
// byte order).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "../tests/cpp/assignment_matrices.hpp"
#include "regauge/assignment.hpp"

namespace {

void writeForPeers(const std::vector<std::int32_t>& score, std::string_view name, std::size_t n) {
    const char* folder = std::getenv("REGAUGE_BENCH_MATRICES");
    if (folder == nullptr) return;
    std::ofstream file(std::string(folder) + "/" + std::string(name) + "-" + std::to_string(n) + ".i32",
                       std::ios::binary);
    file.write(reinterpret_cast<const char*>(score.data()),
               static_cast<std::streamsize>(score.size() * sizeof(score[0])));
}

void assignMatrix(benchmark::State& state, std::string_view name, std::size_t n) {
    const std::vector<std::int32_t> score = regauge::testing::makeMatrix(name, n);
    writeForPeers(score, name, n);
    for (auto _ : state) benchmark::DoNotOptimize(regauge::assign(score, n).total);
}

const bool registered = [] {
    for (const std::size_t n : {std::size_t{1024}, std::size_t{2048}, std::size_t{4096}, std::size_t{8192}}) {
        for (const std::string_view name : regauge::testing::matrixNames) {
            const std::string title = "assign/" + std::string(name) + "/" + std::to_string(n);
            benchmark::RegisterBenchmark(title.c_str(), [name, n](benchmark::State& state) {
                assignMatrix(state, name, n);
            })->Unit(benchmark::kMillisecond);
        }
    }
    return true;
}();

}  // namespace

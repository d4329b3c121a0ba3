// The one parallel loop. (In the wasm build without threads it is a plain loop, and everything but the thread count
// holds.)
#include "base/parallel.hpp"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <numeric>
#include <stdexcept>
#include <vector>
#ifndef __EMSCRIPTEN__
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#endif

namespace regauge {
namespace {

TEST_CASE("a parallel loop calls its body once for every index, for every number of threads") {
    for (const unsigned threads : {1U, 2U, 3U, 7U, 64U})
        for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{1000}}) {
            std::vector<std::atomic<int>> calls(count);
            parallelFor(threads, count, [&](std::size_t i) { ++calls[i]; });
            for (const auto& n : calls) REQUIRE(n == 1);
        }
}

TEST_CASE("a loop within a loop runs") {
    std::vector<std::atomic<int>> calls(6 * 50);
    parallelFor(3, 6, [&](std::size_t i) { parallelFor(3, 50, [&](std::size_t k) { ++calls[i * 50 + k]; }); });
    for (const auto& n : calls) REQUIRE(n == 1);
}

TEST_CASE("what a body throws reaches the caller, and the next loop runs") {
    for (const unsigned threads : {1U, 4U}) {
        REQUIRE_THROWS_AS(parallelFor(threads, 100,
                                      [](std::size_t i) {
                                          if (i == 37) throw std::out_of_range("37");
                                      }),
                          std::out_of_range);
        std::atomic<std::size_t> sum{0};
        parallelFor(threads, 100, [&](std::size_t i) { sum += i; });
        REQUIRE(sum == 4950);
    }
}

#ifndef __EMSCRIPTEN__
TEST_CASE("a loop has the threads it asks for") {
    std::mutex mutex;
    std::set<std::thread::id> seen;
    parallelFor(3, 3, [&](std::size_t) {
        {
            const std::lock_guard lock(mutex);
            seen.insert(std::this_thread::get_id());
        }
        for (int waited = 0; waited < 10000; ++waited) {  // until all three are inside
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            const std::lock_guard lock(mutex);
            if (seen.size() == 3) break;
        }
    });
    REQUIRE(seen.size() == 3);
}

TEST_CASE("loops of several threads at once do not disturb one another") {
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller)
        callers.emplace_back([&] {
            for (int round = 0; round < 200; ++round) {
                std::vector<int> values(64);
                parallelFor(3, values.size(), [&](std::size_t i) { values[i] = static_cast<int>(i); });
                if (std::accumulate(values.begin(), values.end(), 0) != 63 * 32) ++wrong;
            }
        });
    for (std::thread& caller : callers) caller.join();
    REQUIRE(wrong == 0);
}
#endif

}  // namespace
}  // namespace regauge

#include "work.hpp"

#include <torch/torch.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <thread>

namespace regauge::experiments {

void Work::run(const std::string& stage, std::vector<Job> jobs) {
    const auto started = std::chrono::steady_clock::now();
    std::atomic<std::size_t> next = 0, done = 0;
    std::mutex mutex;
    std::exception_ptr failure;
    const auto worker = [&] {
        torch::set_num_threads(1);  // torch keeps it per thread
        for (std::size_t k = next++; k < jobs.size(); k = next++) {
            try {
                const std::string said = jobs[k].run();
                const std::lock_guard lock(mutex);
                ++done;
                const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started).count();
                if (!said.empty())
                    std::fprintf(stderr, "%s %zu/%zu, %lld s: %s: %s\n", stage.c_str(), done.load(), jobs.size(), static_cast<long long>(seconds), jobs[k].name.c_str(), said.c_str());
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (!failure) failure = std::current_exception();
                next = jobs.size();
            }
        }
    };
    std::vector<std::thread> threads;
    for (unsigned t = 1; t < threads_; ++t) threads.emplace_back(worker);
    worker();
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace regauge::experiments

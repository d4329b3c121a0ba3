#include "work.hpp"

#include <torch/torch.h>

#include <time.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>

namespace regauge::experiments {

namespace {

double cpuSeconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

void Work::run(const std::string& stage, std::vector<Job> jobs) {
    const auto started = std::chrono::steady_clock::now();
    std::atomic<std::size_t> next = 0, done = 0;
    std::mutex mutex;
    std::exception_ptr failure;
    const auto worker = [&] {
        torch::set_num_threads(1);  // torch keeps it per thread
        for (std::size_t k = next++; k < jobs.size(); k = next++) {
            try {
                const double before = cpuSeconds();
                const std::string said = jobs[k].run();
                const double cost = cpuSeconds() - before;
                const std::lock_guard lock(mutex);
                ++done;
                const auto seconds =
                    std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started)
                        .count();
                if (!said.empty()) {
                    std::fprintf(stderr, "%s %zu/%zu, %lld s: %s: %s\n", stage.c_str(), done.load(), jobs.size(),
                                 static_cast<long long>(seconds), jobs[k].name.c_str(), said.c_str());
                    std::ofstream(costs_, std::ios::app) << stage << '\t' << cost << '\t' << jobs[k].name << '\n';
                }
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

std::map<std::string, double> costsIn(const std::filesystem::path& file) {
    std::map<std::pair<std::string, std::string>, double> jobs;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        std::istringstream parts(line);
        std::string stage, seconds, job;
        std::getline(parts, stage, '\t'), std::getline(parts, seconds, '\t'), std::getline(parts, job);
        jobs[{stage, job}] = std::stod(seconds);
    }
    std::map<std::string, double> stages;
    for (const auto& [key, seconds] : jobs) stages[key.first] += seconds;
    return stages;
}

}  // namespace regauge::experiments

// One parallel loop for the whole core. Native: threads; WebAssembly without threads: a plain loop.
#pragma once

#include <cstddef>

#if defined(__EMSCRIPTEN__) && !defined(__EMSCRIPTEN_PTHREADS__)
#define REGAUGE_HAS_THREADS 0
#else
#define REGAUGE_HAS_THREADS 1
#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>
#endif

namespace regauge {

#if REGAUGE_HAS_THREADS
// Threads that are joined whatever happens. (std::jthread is missing from the libc++ of Emscripten and of macOS.)
class JoinedThreads {
public:
    explicit JoinedThreads(std::size_t capacity) { threads_.reserve(capacity); }
    JoinedThreads(const JoinedThreads&) = delete;
    JoinedThreads& operator=(const JoinedThreads&) = delete;
    ~JoinedThreads() {
        for (std::thread& thread : threads_) thread.join();
    }
    template <class Fn>
    void start(Fn& fn) {
        threads_.emplace_back([&fn] { fn(); });
    }

private:
    std::vector<std::thread> threads_;
};
#endif

// As many threads as are worth starting for work of about so many microseconds: a thread costs some 50.
constexpr unsigned threadsWorth(unsigned threads, double microseconds) { return microseconds < 200 ? 1 : threads; }

// Calls fn(i) once for every i in [0, count), on up to `threads` threads, this one among them, in no particular order; returns when all are done.
// The first exception is thrown again here, and what has not started by then is left out. For answers that do not depend on `threads`,
// fn(i) must write only what belongs to i.
template <class Fn>
void parallelFor([[maybe_unused]] unsigned threads, std::size_t count, Fn&& fn) {
#if REGAUGE_HAS_THREADS
    const std::size_t workers = std::min<std::size_t>(threads, count);
    if (workers > 1) {
        std::atomic<std::size_t> next{0};
        std::atomic<bool> failed{false};
        std::exception_ptr failure;
        const auto work = [&] {
            try {
                for (std::size_t i = next++; i < count && !failed; i = next++) fn(i);
            } catch (...) {
                if (!failed.exchange(true)) failure = std::current_exception();
            }
        };
        {
            JoinedThreads helpers(workers - 1);
            for (std::size_t i = 1; i < workers; ++i) helpers.start(work);
            work();
        }
        if (failure) std::rethrow_exception(failure);
        return;
    }
#endif
    for (std::size_t i = 0; i < count; ++i) fn(i);
}

}  // namespace regauge

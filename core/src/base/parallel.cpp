// Helpers: threads that wait for the next loop. They outlive it, because in WebAssembly a thread is a worker, which
// takes 30 ms to start and does not start at all while its parent is busy (browsers); natively, waking one costs a
// tenth of starting one. A loop never waits for a helper that has not come: the calling thread takes whatever is left.
#include "base/parallel.hpp"

#include "regauge/threads.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

namespace regauge {
namespace {

struct Loop {
    std::size_t count;
    void (*call)(void*, std::size_t);
    void* body;
    std::atomic<std::size_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr failure{};

    // beside: for as long as there is something left that helpers can do meanwhile.
    void work(const Beside& beside = {}) {
        try {
            while (beside && next < count && !failed && beside()) {
            }
            for (std::size_t i = next++; i < count && !failed; i = next++) call(body, i);
        } catch (...) {
            if (!failed.exchange(true)) failure = std::current_exception();
        }
    }
};

class Helpers {
public:
    void start(std::size_t helpers) {
        if (taken_.exchange(true)) return;
        grow(helpers);
        taken_ = false;
    }

    unsigned ready() const { return ready_; }

    // Runs the loop on this thread and at most so many helpers. False where another loop has them.
    bool run(Loop& loop, std::size_t helpers, const Beside& beside) {
        if (taken_.exchange(true)) return false;
        grow(helpers);
        {
            const std::lock_guard lock(mutex_);
            loop_ = &loop;
            wanted_ = helpers;
        }
        for (std::size_t k = 0; k < helpers; ++k) wake_.notify_one();
        loop.work(beside);
        std::unique_lock lock(mutex_);
        wanted_ = 0;  // who comes now comes too late
        done_.wait(lock, [this] { return busy_ == 0; });
        lock.unlock();
        taken_ = false;
        return true;
    }

private:
    void grow(std::size_t helpers) {
        while (started_ < helpers) {
            try {
                std::thread([this] { help(); }).detach();
            } catch (const std::system_error&) {
                return;  // no more threads to be had (the wasm without them has none): those that there are do it
            } catch (const std::bad_alloc&) {
                return;  // nor memory for one
            }
            ++started_;
        }
    }

    void help() {
        ++ready_;
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return wanted_ > 0; });
            --wanted_, ++busy_;
            Loop& loop = *loop_;
            lock.unlock();
            loop.work();
            lock.lock();
            if (--busy_ == 0) done_.notify_one();
        }
    }

    std::atomic<bool> taken_{false};
    std::atomic<unsigned> ready_{0};
    std::size_t started_ = 0;  // belongs to who has taken_
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    Loop* loop_ = nullptr;
    std::size_t wanted_ = 0, busy_ = 0;
};

// Never destroyed: helpers wait in it until the process ends.
Helpers& helpers() {
    static Helpers& all = *new Helpers;
    return all;
}

// Work too short to wake helpers for; and the work that must have gone by before the first one starts, so that it has
// paid for what they cost.
#ifdef __EMSCRIPTEN__
constexpr double microsecondsToWake = 200, microsecondsToStart = 50000;
#else
constexpr double microsecondsToWake = 50, microsecondsToStart = 0;
#endif

std::atomic<double> microsecondsSeen{0};

}  // namespace

unsigned threadsWorth(unsigned threads, double microseconds) {
    if (microseconds < microsecondsToWake) return 1;
    if (microsecondsSeen < microsecondsToStart) microsecondsSeen = microsecondsSeen + microseconds;
    return threads;
}

void startHelpers(unsigned threads) {
    if (threads > 1) helpers().start(threads - 1);
}

unsigned helpersReady() { return helpers().ready(); }

void runInParallel(unsigned threads, std::size_t count, void (*call)(void*, std::size_t), void* body,
                   const Beside& beside) {
    const std::size_t workers = std::min<std::size_t>(threads, count);
    const bool worthHelpers = workers > 1 && (microsecondsSeen >= microsecondsToStart || helpersReady() > 0);
    Loop loop{count, call, body};
    if (!worthHelpers || !helpers().run(loop, workers - 1, beside)) loop.work();
    if (loop.failure) std::rethrow_exception(loop.failure);
}

}  // namespace regauge

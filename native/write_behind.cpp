#include "write_behind.hpp"

#include <algorithm>

namespace regauge {
namespace {

#if defined(__EMSCRIPTEN__) && !defined(__EMSCRIPTEN_PTHREADS__)
constexpr bool hasThreads = false;  // the tests as wasm in Node
#else
constexpr bool hasThreads = true;
#endif

}  // namespace

WriteBehind::~WriteBehind() { stop(); }

void WriteBehind::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        std::vector<std::byte>& block = filling();
        const std::size_t count = std::min(bytes.size(), blockBytes - block.size());
        block.insert(block.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
        bytes = bytes.subspan(count);
        if (block.size() == blockBytes) hand();
    }
}

void WriteBehind::hand() {
    if (!hasThreads) {
        out_.write(filling());
        filling().clear();
        return;
    }
    if (!thread_.joinable()) thread_ = std::thread([this] { writeBlocks(); });
    std::unique_lock lock(mutex_);
    ++filled_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return error_ || filled_ - written_ < blockCount; });
    if (error_) std::rethrow_exception(error_);
}

void WriteBehind::finish() {
    if (thread_.joinable()) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return error_ || written_ == filled_; });
        if (error_) std::rethrow_exception(error_);
    }
    stop();
    if (!filling().empty()) out_.write(filling());
    filling().clear();
}

void WriteBehind::writeBlocks() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || written_ < filled_; });
        if (stopping_) return;
        std::vector<std::byte>& block = blocks_[written_ % blockCount];
        lock.unlock();
        std::exception_ptr failed;
        try {
            out_.write(block);
        } catch (...) {
            failed = std::current_exception();
        }
        block.clear();
        lock.lock();
        ++written_;
        error_ = failed;
        changed_.notify_all();
        if (failed) return;
    }
}

void WriteBehind::stop() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

}  // namespace regauge

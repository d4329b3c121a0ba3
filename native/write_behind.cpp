#include "write_behind.hpp"

#include <algorithm>
#include <cstring>
#include <system_error>

namespace regauge {

WriteBehind::~WriteBehind() { stop(); }

WriteBehind::Block& WriteBehind::filling() {
    Block& block = blocks_[filled_ % blockCount];
    if (block.bytes.empty()) block.bytes.resize(blockBytes);
    return block;
}

std::span<std::byte> WriteBehind::room(std::size_t count) {
    if (count > blockBytes) return {};
    if (count > blockBytes - filling().used) hand();
    return std::span(filling().bytes).subspan(filling().used, count);
}

void WriteBehind::write(std::span<const std::byte> bytes) {
    if (Block& block = filling(); bytes.data() == block.bytes.data() + block.used)
        return take(bytes.size());  // made in room()
    while (!bytes.empty()) {
        Block& block = filling();
        const std::size_t count = std::min(bytes.size(), blockBytes - block.used);
        std::memcpy(block.bytes.data() + block.used, bytes.data(), count);
        bytes = bytes.subspan(count);
        take(count);
    }
}

void WriteBehind::take(std::size_t count) {
    filling().used += count;
    if (filling().used == blockBytes) hand();
}

void WriteBehind::hand() {
    if (!thread_.joinable()) {
        try {
            thread_ = std::thread([this] { writeBlocks(); });
        } catch (const std::system_error&) {  // no more threads to be had (the tests as wasm have none)
            writeOut(filling());
            return;
        }
    }
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
    if (filling().used > 0) writeOut(filling());
}

void WriteBehind::writeOut(Block& block) {
    out_.write(std::span(block.bytes).first(block.used));
    block.used = 0;
}

void WriteBehind::writeBlocks() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || written_ < filled_; });
        if (stopping_) return;
        Block& block = blocks_[written_ % blockCount];
        lock.unlock();
        std::exception_ptr failed;
        try {
            writeOut(block);
        } catch (...) {
            failed = std::current_exception();
        }
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

// A sink whose bytes another one writes on a thread of its own, so that reading and moving go on meanwhile.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "regauge/io/byte_source.hpp"

namespace regauge {

class WriteBehind final : public ByteSink {
public:
    explicit WriteBehind(ByteSink& out) : out_(out) {}
    WriteBehind(const WriteBehind&) = delete;
    WriteBehind& operator=(const WriteBehind&) = delete;
    ~WriteBehind() override;  // what is not written by then is given up

    // Copies the bytes and returns, waiting only while all blocks are full. Throws what writing an earlier block threw.
    void write(std::span<const std::byte> bytes) override;
    // Inside a block, for up to a megabyte.
    std::span<std::byte> room(std::size_t count) override;
    // Returns when everything is written. Throws as write does.
    void finish();

private:
    //   blocks_ as a ring:   [ .. free .. | written_ .. waiting to be written .. | filled_ (being filled) | .. free ..
    //   ]
    // Handing a block over wakes a thread, which virtual machines are slow at: with blocks of a quarter of the size a
    // transport takes 1.1 times as long. Four are still in the third-level cache when they are written.
    static constexpr std::size_t blockBytes = 1u << 20;
    static constexpr std::size_t blockCount = 4;

    struct Block {
        std::vector<std::byte> bytes;  // blockBytes, once in use
        std::size_t used = 0;
    };

    Block& filling();
    void take(std::size_t count);  // so many bytes more are in the block being filled
    void hand();                   // the block being filled goes to the thread
    void writeOut(Block& block);
    void writeBlocks();  // the thread
    void stop();

    ByteSink& out_;
    std::array<Block, blockCount> blocks_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t filled_ = 0, written_ = 0;  // blocks since the beginning; guarded by mutex_ once the thread runs
    bool stopping_ = false;
    std::exception_ptr error_;
    std::thread thread_;
};

}  // namespace regauge

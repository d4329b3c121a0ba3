// Threads as the processes of a team; native, as teams are.
#pragma once

#ifndef __EMSCRIPTEN__
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "command_run.hpp"
#include "memory_files.hpp"
#include "regauge/team.hpp"

namespace regauge::test {

// Where threads wait for each other. std::barrier of GCC 12 loses one now and then where the system has no futex
// (mingw-w64 under Wine: 3 of 12 runs hung).
class Barrier {
public:
    explicit Barrier(unsigned size) : size_(size) {}
    void arriveAndWait() {
        std::unique_lock lock(mutex_);
        const unsigned phase = phase_;
        if (++arrived_ < size_) {
            all_.wait(lock, [&] { return phase_ != phase; });
        } else {
            arrived_ = 0, ++phase_;
            all_.notify_all();
        }
    }

private:
    const unsigned size_;
    unsigned arrived_ = 0, phase_ = 0;
    std::mutex mutex_;
    std::condition_variable all_;
};

// Threads as the processes of a team.
struct Meeting {
    explicit Meeting(unsigned size) : barrier(size), bytes(size), values(size), numbers(size) {}
    Barrier barrier;
    std::vector<std::span<std::byte>> bytes;
    std::vector<std::span<std::int64_t>> values;
    std::vector<unsigned> numbers;
};

class ThreadTeam final : public Team {
public:
    ThreadTeam(Meeting& meeting, unsigned rank) : meeting_(meeting), rank_(rank) {}
    unsigned rank() const override { return rank_; }
    unsigned size() const override { return static_cast<unsigned>(meeting_.numbers.size()); }
    void broadcast(std::span<std::byte> bytes, unsigned from) override {
        meeting_.bytes[rank_] = bytes;
        meeting_.barrier.arriveAndWait();
        if (rank_ != from) std::ranges::copy(meeting_.bytes[from], bytes.begin());
        meeting_.barrier.arriveAndWait();
    }
    unsigned lowest(unsigned value) override {
        meeting_.numbers[rank_] = value;
        meeting_.barrier.arriveAndWait();
        const unsigned lowest = *std::ranges::min_element(meeting_.numbers);
        meeting_.barrier.arriveAndWait();
        return lowest;
    }
    void sumAtFirst(std::span<std::int64_t> values) override {
        meeting_.values[rank_] = values;
        meeting_.barrier.arriveAndWait();
        if (rank_ == 0)
            for (unsigned k = 1; k < size(); ++k)
                for (std::size_t i = 0; i < values.size(); ++i) values[i] += meeting_.values[k][i];
        meeting_.barrier.arriveAndWait();
    }

private:
    Meeting& meeting_;
    unsigned rank_;
};

// Every member runs the command on files of its own; what each said.
// only: what the last one is asked instead.
inline std::vector<Ran> runTogether(std::vector<MemoryFiles>& files, const std::vector<std::string>& args,
                                    const std::optional<std::vector<std::string>>& only = std::nullopt) {
    Meeting meeting(static_cast<unsigned>(files.size()));
    std::vector<Ran> ran(files.size());
    std::vector<std::thread> members;
    for (std::size_t rank = 0; rank < files.size(); ++rank)
        members.emplace_back([&, rank] {
            ThreadTeam team(meeting, static_cast<unsigned>(rank));
            ran[rank] = run(files[rank], only && rank + 1 == files.size() ? *only : args, &team);
        });
    for (std::thread& member : members) member.join();
    return ran;
}

}  // namespace regauge::test
#endif

// Several processes at one job, as MPI ranks are. A face implements it; core and command know nothing of MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace regauge {

// Rank 0 leads: it decides, answers, writes and speaks; the others sum their rows. Every member makes the same calls in
// the same order.
class Team {
public:
    virtual ~Team() = default;
    virtual unsigned rank() const = 0;
    virtual unsigned size() const = 0;
    // The bytes of member `from`, as many everywhere, to all members.
    virtual void broadcast(std::span<std::byte> bytes, unsigned from) = 0;
    // The smallest of the members' values, to all of them.
    virtual unsigned lowest(unsigned value) = 0;
    // Replaces rank 0's values by the sums over all members; the others keep theirs.
    virtual void sumAtFirst(std::span<std::int64_t> values) = 0;
};

// Does a piece of work on every member. Where it fails on one of them, all of them throw that member's error (the
// lowest rank's), so that nobody waits for one who has given up.
void together(Team& team, const std::function<void()>& work);

}  // namespace regauge

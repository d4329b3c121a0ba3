// Passes over all entries of a d x d matrix, shared between threads by rows.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/parallel.hpp"

namespace regauge {

// Rows that one task looks through.
inline constexpr std::size_t taskRows = 128;
inline std::size_t rowTasks(std::size_t d) { return (d + taskRows - 1) / taskRows; }

// Calls fn(task, first, last) for rows [first, last) of every task.
template <class Fn>
void forRowTasks(std::size_t d, unsigned threads, Fn&& fn) {
    constexpr double entriesPerMicrosecond = 1000;
    parallelFor(threadsWorth(threads, static_cast<double>(d * d) / entriesPerMicrosecond), rowTasks(d),
                [&](std::size_t task) { fn(task, task * taskRows, std::min(d, (task + 1) * taskRows)); });
}

}  // namespace regauge

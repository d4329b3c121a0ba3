// The memory that this process can still have.
#pragma once

#include <cstdint>

namespace regauge {

// Bytes: what the machine has free, or less where limits of the process or of its cgroup (a container, a Slurm job) say
// so. 0 where nothing is known.
std::uint64_t availableMemory();

}  // namespace regauge

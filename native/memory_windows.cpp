#include <windows.h>

#include <algorithm>

#include "memory.hpp"

namespace regauge {

std::uint64_t availableMemory() {
    MEMORYSTATUSEX status{};
    status.dwLength = sizeof status;
    if (!GlobalMemoryStatusEx(&status)) return 0;
    // What the process may still commit: memory and page file, less where a job object says so.
    const std::uint64_t left = std::min<std::uint64_t>(status.ullAvailPageFile, status.ullAvailVirtual);
    return std::max<std::uint64_t>(1, left);  // 0 would mean that nothing is known
}

}  // namespace regauge

#include "memory.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace regauge {
namespace {

namespace fs = std::filesystem;

// The number that a file holds; nothing where there is no file, or a word ("max").
std::optional<std::uint64_t> numberIn(const fs::path& path) {
    std::ifstream file(path);
    std::uint64_t number = 0;
    if (file >> number) return number;
    return std::nullopt;
}

// The number after a word: "MemAvailable:  16384 kB", "inactive_file 4096".
std::uint64_t numberAfter(const fs::path& path, const std::string& word) {
    std::ifstream file(path);
    for (std::string first, rest; file >> first && std::getline(file, rest);)
        if (first == word) return std::strtoull(rest.c_str(), nullptr, 10);
    return 0;
}

// What is left in a folder of cgroup files: pages of files that were read give way.
std::optional<std::uint64_t> leftIn(const fs::path& folder, const char* limitName, const char* usedName,
                                    const char* cacheName) {
    const auto limit = numberIn(folder / limitName), used = numberIn(folder / usedName);
    if (!limit || !used) return std::nullopt;
    const std::uint64_t held = *used - std::min(*used, numberAfter(folder / "memory.stat", cacheName));
    return *limit - std::min(*limit, held);
}

// The tightest limit of the process's cgroup and all above it; /proc/self/cgroup has "0::/path" (v2) or
// "5:memory:/path" (v1).
std::uint64_t leftInCgroup() {
    std::uint64_t left = std::numeric_limits<std::uint64_t>::max();
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool unified = controllers.empty();
        if (!unified && controllers != "memory") continue;
        const fs::path root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
        // Inside a container the path may be the host's and not be here; its root then holds the limits.
        for (fs::path path = fs::path(line.substr(second + 1)).relative_path();; path = path.parent_path()) {
            const auto here =
                unified ? leftIn(root / path, "memory.max", "memory.current", "inactive_file")
                        : leftIn(root / path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
            left = std::min(left, here.value_or(left));
            if (path.empty()) break;
        }
    }
    return left;
}

}  // namespace

std::uint64_t availableMemory() {
    const long pages = sysconf(_SC_PHYS_PAGES), pageBytes = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || pageBytes <= 0) return 0;
    std::uint64_t left = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(pageBytes);
    if (const std::uint64_t free = numberAfter("/proc/meminfo", "MemAvailable:"); free > 0)
        left = (free + numberAfter("/proc/meminfo", "SwapFree:")) * 1024;
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        const std::uint64_t used = numberIn("/proc/self/statm").value_or(0) * static_cast<std::uint64_t>(pageBytes);
        left = std::min<std::uint64_t>(left, limit.rlim_cur - std::min<std::uint64_t>(limit.rlim_cur, used));
    }
    return std::max<std::uint64_t>(1, std::min(left, leftInCgroup()));  // 0 would mean that nothing is known
}

}  // namespace regauge

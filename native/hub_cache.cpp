#include "hub_cache.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "os.hpp"

namespace fs = std::filesystem;

namespace regauge {
namespace {

std::optional<fs::path> variable(const char* name) {
    const std::optional<std::string> value = os::environment(name);
    return value && !value->empty() ? std::optional(os::pathOf(*value)) : std::nullopt;
}

// Nothing where the environment says nothing of it, nor of a home.
std::optional<fs::path> hubCache() {
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
        if (const auto folder = variable(name)) return *folder;
    if (const auto home = variable("HF_HOME")) return *home / "hub";
    if (const auto cache = variable("XDG_CACHE_HOME")) return *cache / "huggingface" / "hub";
    if (const auto home = os::homeFolder(); home && !home->empty())
        return os::pathOf(*home) / ".cache" / "huggingface" / "hub";
    return std::nullopt;
}

// What the hub allows in the name of an owner or a model.
bool isHubName(const std::string& part) {
    constexpr const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    return !part.empty() && part.front() != '.' && part.front() != '-' &&
           part.find_first_not_of(letters) == std::string::npos;
}

}  // namespace

std::string inHubCache(const std::string& path) {
    const std::size_t first = path.find('/');
    if (first == std::string::npos) return path;
    const std::size_t second = std::min(path.find('/', first + 1), path.size());
    const std::string owner = path.substr(0, first), model = path.substr(first + 1, second - first - 1);
    if (!isHubName(owner) || !isHubName(model) || os::isThere(os::pathOf(path.substr(0, second)))) return path;
    const std::optional<fs::path> cache = hubCache();
    if (!cache) return path;
    const fs::path folder = *cache / ("models--" + owner + "--" + model);
    return os::isFolder(folder) ? os::textOf(folder) + path.substr(second) : path;
}

}  // namespace regauge

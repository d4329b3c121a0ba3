// A folder of a test's own in the machine's temporary folder, that goes away with it. Others may run tests beside it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>
#include <random>
#include <string>

namespace regauge::test {

class Scratch {
public:
    Scratch() {
        std::random_device random;
        do path_ = std::filesystem::temp_directory_path() / ("regauge-test-" + std::to_string(random()));
        while (!std::filesystem::create_directory(path_));
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { std::filesystem::remove_all(path_); }

    const std::filesystem::path& path() const { return path_; }
    std::string operator/(const std::string& name) const { return (path_ / name).generic_string(); }
    // Files and folders directly within it.
    std::size_t entries() const {
        using Iterator = std::filesystem::directory_iterator;
        return static_cast<std::size_t>(std::distance(Iterator(path_), Iterator()));
    }

private:
    std::filesystem::path path_;
};

}  // namespace regauge::test

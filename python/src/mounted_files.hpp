// This machine's files, with arrays of a Python program among them under names of their own.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "native_files.hpp"
#include "regauge/io/byte_source.hpp"

namespace regauge::python {

// The pieces of a file, one after the other. Borrowed: they must outlive every source that reads them.
using Pieces = std::vector<std::span<const std::byte>>;

class MountedFiles final : public Files {
public:
    // The file `path` has these bytes, whatever lies on disk.
    void mount(const std::string& path, Pieces pieces) { mounts_[path] = std::move(pieces); }
    // What is created at `path` from now on goes to `outputs` and not to disk, and nothing is there yet.
    void keepInMemory(const std::string& path) { memoryOutput_ = path; }

    // By name inside a folder; "" is a single file.
    std::map<std::string, std::vector<std::byte>> outputs;

    bool exists(const std::string& path) const override;
    bool isFolder(const std::string& path) const override;
    std::vector<std::string> list(const std::string& folder) const override;
    std::unique_ptr<ByteSource> open(const std::string& path) const override;
    std::unique_ptr<Output> create(const std::string& path, bool folder, bool overwrite) override;

private:
    bool isMountedFolder(const std::string& path) const;

    NativeFiles disk_;
    std::map<std::string, Pieces> mounts_;
    std::string memoryOutput_;
};

}  // namespace regauge::python

// What a job has read so far, by device and inode: what its outputs must leave alone.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "os.hpp"

namespace regauge {

// Of what the path leads to, through links; nothing where that is not there.
std::optional<os::FileIdentity> identityAt(const std::filesystem::path& path);

// Its calls may come from several threads.
class InputsRead {
public:
    void addFile(const std::string& path, const os::Status& status);
    void addFolder(const std::string& path, const os::Status& status);

    // The path by which that file was read; nothing where it was not.
    std::optional<std::string> pathOf(os::FileIdentity file) const;
    // Throws Error(usage) where `path` leads to a file that was read.
    void refuseInput(const std::string& path) const;
    // Throws Error(usage) where the folder holds something that was read, or lies inside a folder that was.
    void refuseAround(const std::string& folder) const;
    // Throws Error(truncated), with the output as its place, where a file was written to since it was opened.
    void requireUnchanged(const std::string& output) const;

    // The permissions of an output: those of the input file of that name, else those that all input files grant; always
    // readable and writable by its owner.
    // The process's umask is not taken off.
    unsigned fileMode(const std::string& name) const;
    unsigned folderMode() const;

private:
    struct Input {
        std::string path;
        bool folder = false;
        os::Status status{};
    };
    mutable std::mutex mutex_;
    std::map<os::FileIdentity, Input> inputs_;
};

}  // namespace regauge

#include "inputs_read.hpp"

#include <filesystem>
#include <system_error>

#include "regauge/error.hpp"

namespace fs = std::filesystem;

namespace regauge {
namespace {

constexpr unsigned permissions = 0777;  // read, write and execute, of owner, group and others

// The folders above a path, links resolved, the nearest first.
std::vector<os::FileIdentity> above(const std::string& path) {
    std::vector<os::FileIdentity> found;
    std::error_code error;
    fs::path at = os::weaklyCanonical(os::pathOf(path), error);
    while (!error && at.has_relative_path()) {
        at = at.parent_path();
        if (const auto identity = identityAt(at)) found.push_back(*identity);
    }
    return found;
}

}  // namespace

std::optional<os::FileIdentity> identityAt(const fs::path& path) {
    os::Status status;
    return os::statusOf(path, status) == 0 ? std::optional(status.identity) : std::nullopt;
}

void InputsRead::addFile(const std::string& path, const os::Status& status) {
    const std::lock_guard lock(mutex_);
    inputs_.try_emplace(status.identity, Input{path, false, status});
}

void InputsRead::addFolder(const std::string& path, const os::Status& status) {
    const std::lock_guard lock(mutex_);
    inputs_.try_emplace(status.identity, Input{path, true, status});
}

std::optional<std::string> InputsRead::pathOf(os::FileIdentity file) const {
    const std::lock_guard lock(mutex_);
    const auto found = inputs_.find(file);
    return found == inputs_.end() ? std::nullopt : std::optional(found->second.path);
}

void InputsRead::refuseInput(const std::string& path) const {
    const auto identity = identityAt(os::pathOf(path));
    if (const auto input = identity ? pathOf(*identity) : std::nullopt)
        throw Error(ErrorCode::usage, path,
                    "is the input itself (" + *input + "), which is never overwritten; name another output");
}

void InputsRead::refuseAround(const std::string& folder) const {
    refuseInput(folder);
    for (const os::FileIdentity& outer : above(folder)) {
        const std::lock_guard lock(mutex_);
        if (const auto found = inputs_.find(outer); found != inputs_.end() && found->second.folder)
            throw Error(
                ErrorCode::usage, folder,
                "lies inside the input (" + found->second.path + "), which is never changed; name another output");
    }
    const auto identity = identityAt(os::pathOf(folder));
    if (!identity) return;
    std::map<os::FileIdentity, Input> inputs;
    {
        const std::lock_guard lock(mutex_);
        inputs = inputs_;
    }
    for (const auto& [input, entry] : inputs)
        for (const os::FileIdentity& outer : above(entry.path))
            if (outer == *identity)
                throw Error(ErrorCode::usage, folder,
                            "holds the input (" + entry.path + "), which is never overwritten; name another output");
}

void InputsRead::requireUnchanged(const std::string& output) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [identity, input] : inputs_) {
        os::Status now;
        if (input.folder || os::statusOf(os::pathOf(input.path), now) != 0 || now.identity != identity)
            continue;  // replaced: what was opened is still the old one
        if (now.size != input.status.size || now.second != input.status.second || now.fraction != input.status.fraction)
            throw Error(ErrorCode::truncated, output,
                        "is not written: " + input.path +
                            " was changed while it was being read; run the command again when nothing writes to it");
    }
}

unsigned InputsRead::fileMode(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    unsigned all = 0666, named = 0;
    for (const auto& [identity, input] : inputs_) {
        if (input.folder) continue;
        const unsigned mode = input.status.mode & permissions & 0666u;
        all &= mode | 0600u;
        if (!name.empty() && os::pathOf(input.path).filename() == os::pathOf(name).filename())
            named = named == 0 ? mode : named & mode;
    }
    return (named == 0 ? all : named) | 0600u;
}

unsigned InputsRead::folderMode() const {
    const std::lock_guard lock(mutex_);
    unsigned all = permissions;
    for (const auto& [identity, input] : inputs_)
        if (input.folder) all &= input.status.mode | 0700u;
    return all;
}

}  // namespace regauge

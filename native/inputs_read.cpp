#include "inputs_read.hpp"

#include <filesystem>
#include <system_error>

#include "regauge/error.hpp"

namespace fs = std::filesystem;

namespace regauge {
namespace {

constexpr unsigned permissions = 0777;  // read, write and execute, of owner, group and others

bool sameTime(const struct stat& a, const struct stat& b) {
#if defined(__APPLE__)
    const timespec &left = a.st_mtimespec, &right = b.st_mtimespec;
#else
    const timespec &left = a.st_mtim, &right = b.st_mtim;
#endif
    return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

// The folders above a path, links resolved, the nearest first.
std::vector<FileIdentity> above(const std::string& path) {
    std::vector<FileIdentity> found;
    std::error_code error;
    fs::path at = fs::weakly_canonical(fs::absolute(path, error), error);
    while (!error && at.has_relative_path()) {
        at = at.parent_path();
        if (const auto identity = identityAt(at.string())) found.push_back(*identity);
    }
    return found;
}

}  // namespace

std::optional<FileIdentity> identityAt(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? std::optional(identityOf(status)) : std::nullopt;
}

void InputsRead::addFile(const std::string& path, const struct stat& status) {
    const std::lock_guard lock(mutex_);
    inputs_.try_emplace(identityOf(status), Input{path, false, status});
}

void InputsRead::addFolder(const std::string& path, const struct stat& status) {
    const std::lock_guard lock(mutex_);
    inputs_.try_emplace(identityOf(status), Input{path, true, status});
}

std::optional<std::string> InputsRead::pathOf(FileIdentity file) const {
    const std::lock_guard lock(mutex_);
    const auto found = inputs_.find(file);
    return found == inputs_.end() ? std::nullopt : std::optional(found->second.path);
}

void InputsRead::refuseInput(const std::string& path) const {
    const auto identity = identityAt(path);
    if (const auto input = identity ? pathOf(*identity) : std::nullopt)
        throw Error(ErrorCode::usage, path,
                    "is the input itself (" + *input + "), which is never overwritten; name another output");
}

void InputsRead::refuseAround(const std::string& folder) const {
    refuseInput(folder);
    for (const FileIdentity& outer : above(folder)) {
        const std::lock_guard lock(mutex_);
        if (const auto found = inputs_.find(outer); found != inputs_.end() && found->second.folder)
            throw Error(
                ErrorCode::usage, folder,
                "lies inside the input (" + found->second.path + "), which is never changed; name another output");
    }
    const auto identity = identityAt(folder);
    if (!identity) return;
    std::map<FileIdentity, Input> inputs;
    {
        const std::lock_guard lock(mutex_);
        inputs = inputs_;
    }
    for (const auto& [input, entry] : inputs)
        for (const FileIdentity& outer : above(entry.path))
            if (outer == *identity)
                throw Error(ErrorCode::usage, folder,
                            "holds the input (" + entry.path + "), which is never overwritten; name another output");
}

void InputsRead::requireUnchanged(const std::string& output) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [identity, input] : inputs_) {
        struct stat now {};
        if (input.folder || ::stat(input.path.c_str(), &now) != 0 || identityOf(now) != identity)
            continue;  // replaced: what was opened is still the old one
        if (now.st_size != input.status.st_size || !sameTime(now, input.status))
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
        const unsigned mode = static_cast<unsigned>(input.status.st_mode) & permissions & 0666u;
        all &= mode | 0600u;
        if (!name.empty() && fs::path(input.path).filename() == fs::path(name).filename())
            named = named == 0 ? mode : named & mode;
    }
    return (named == 0 ? all : named) | 0600u;
}

unsigned InputsRead::folderMode() const {
    const std::lock_guard lock(mutex_);
    unsigned all = permissions;
    for (const auto& [identity, input] : inputs_)
        if (input.folder) all &= static_cast<unsigned>(input.status.st_mode) | 0700u;
    return all;
}

}  // namespace regauge

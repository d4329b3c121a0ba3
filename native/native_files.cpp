#include "native_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <set>
#include <system_error>
#include <utility>

#include "hub_cache.hpp"
#include "inputs_read.hpp"
#include "regauge/error.hpp"
#include "regauge/io/within.hpp"
#include "write_behind.hpp"

namespace fs = std::filesystem;

namespace regauge {
namespace {

// An open file descriptor.
class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

private:
    int fd_;
};

class FileSource final : public ByteSource {
public:
    FileSource(std::string name, int fd, std::uint64_t size) : name_(std::move(name)), file_(fd), size_(size) {}

    std::uint64_t size() const override { return size_; }
    const std::string& name() const override { return name_; }
    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        requireWithin(*this, offset, into.size());
        while (!into.empty()) {
            const ssize_t got = ::pread(file_.get(), into.data(), into.size(), static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0)
                throw Error(ErrorCode::missingFile, name_, std::string("cannot be read: ") + std::strerror(errno));
            if (got == 0) throw Error(ErrorCode::truncated, name_, "became shorter while it was being read");
            into = into.subspan(static_cast<std::size_t>(got));
            offset += static_cast<std::uint64_t>(got);
        }
    }

private:
    std::string name_;
    Descriptor file_;
    std::uint64_t size_;
};

[[noreturn]] void writeFailed(const std::string& path, int error) {
    throw Error(ErrorCode::writeFailed, path,
                error == ENOSPC ? "the disk is full; nothing was written"
                                : std::string("cannot be written: ") + std::strerror(error) + "; nothing was written");
}

// Waits until the disk has the file's bytes, or a folder's entries.
void syncToDisk(int fd, const std::string& shownPath) {
    // Some file systems cannot sync a folder, and say EINVAL.
    if (::fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP) writeFailed(shownPath, errno);
}

void syncFolder(const fs::path& folder, const std::string& shownPath) {
    const Descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.get() >= 0)
        syncToDisk(opened.get(), shownPath);  // one that may be written in and not read is left to the system
}

class FileSink final : public ByteSink {
public:
    // path: the temporary file; shownPath: what messages call it.
    FileSink(const std::string& path, std::string shownPath, unsigned mode)
        : shownPath_(std::move(shownPath)), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)) {
        if (file_.get() < 0) writeFailed(shownPath_, errno);
    }
    void write(std::span<const std::byte> bytes) override {
        while (!bytes.empty()) {
            const ssize_t put = ::write(file_.get(), bytes.data(), bytes.size());
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) writeFailed(shownPath_, errno);
            bytes = bytes.subspan(static_cast<std::size_t>(put));
        }
    }
    void finish(bool sync) {
        if (sync) syncToDisk(file_.get(), shownPath_);
        if (::close(file_.release()) != 0)
            writeFailed(shownPath_, errno);  // some file systems tell of a full disk only now
    }

private:
    std::string shownPath_;
    Descriptor file_;
};

#if defined(__linux__) && !defined(__EMSCRIPTEN__)
constexpr unsigned replaceNothing = RENAME_NOREPLACE, exchangeBoth = RENAME_EXCHANGE;
int renameWith(const fs::path& from, const fs::path& to, unsigned flags) {
    return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
}
#else
constexpr unsigned replaceNothing = 0, exchangeBoth = 0;
int renameWith(const fs::path&, const fs::path&, unsigned) {
    errno = ENOSYS;
    return -1;
}
#endif
// The system or its file system does not know the flags of renameat2.
bool unknownRename(int error) { return error == ENOSYS || error == EINVAL || error == ENOTSUP; }

[[noreturn]] void refuseTaken(const std::string& path) {
    throw Error(ErrorCode::outputExists, path, "exists already; --force overwrites it, or choose another name with -o");
}

[[noreturn]] void placeFailed(const std::string& path, int error) {
    if (error == EEXIST || error == ENOTEMPTY || error == ENOTDIR) refuseTaken(path);
    writeFailed(path, error);
}

// Gives a file a second name, which must be free; 0, or -1 with errno.
int linkAs(const fs::path& file, const fs::path& name) {
#ifdef __EMSCRIPTEN__  // the tests run there, in Node: no system call for it
    (void)file, (void)name;
    errno = ENOSYS;
    return -1;
#else
    return ::link(file.c_str(), name.c_str());
#endif
}

// Puts `staged` at `path` where nothing is. Throws Error(outputExists) where something is by now.
void placeNew(const fs::path& staged, const fs::path& path, bool folder) {
    if (renameWith(staged, path, replaceNothing) == 0) return;
    if (!unknownRename(errno)) placeFailed(path.string(), errno);
    if (folder) {  // rename(2) replaces an empty folder only, and with it nothing is lost
        if (::rename(staged.c_str(), path.c_str()) != 0) placeFailed(path.string(), errno);
        return;
    }
    if (linkAs(staged, path) == 0) {
        ::unlink(staged.c_str());
        return;
    }
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS && errno != EMLINK) placeFailed(path.string(), errno);
    struct stat there {};  // a file system without links: what is left is to look first
    if (::lstat(path.c_str(), &there) == 0) refuseTaken(path.string());
    if (::rename(staged.c_str(), path.c_str()) != 0) placeFailed(path.string(), errno);
}

// The names in a folder; 0, or what errno says. Not std::filesystem's: without memory its iterators end the process
// (libstdc++ 12).
int namesIn(const fs::path& folder, std::vector<std::string>& names) {
    const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(folder.c_str()), ::closedir);
    if (!opened) return errno;
    for (errno = 0; const dirent* entry = ::readdir(opened.get()); errno = 0)
        if (const std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
    return errno;
}

bool isAlive(const std::string& process) {
    const long number = std::strtol(process.c_str(), nullptr, 10);
    return number <= 0 || ::kill(static_cast<pid_t>(number), 0) == 0 || errno != ESRCH;
}

// Removes what killed processes left beside an output: ".NAME.regauge-PID", as NativeOutput and Node's host name it.
// What one of them had moved aside (".NAME.regauge-PID-old") when it was killed goes back where nothing is.
void collectStale(const fs::path& path) {
    const std::string stem = "." + path.filename().string() + ".regauge-";
    const fs::path folder = path.parent_path().empty() ? fs::path(".") : path.parent_path();
    std::vector<std::string> names;
    std::vector<fs::path> stale;
    std::error_code ignored;
    namesIn(folder, names);
    for (const std::string& name : names) {
        if (!name.starts_with(stem)) continue;
        const std::string rest = name.substr(stem.size()), process = rest.substr(0, rest.find('-'));
        if (process.empty() || process.find_first_not_of("0123456789") != std::string::npos || isAlive(process))
            continue;
        stale.push_back(folder / name);
    }
    for (const fs::path& left : stale) {
        if (left.string().ends_with("-old") && !fs::exists(fs::symlink_status(path, ignored)) &&
            ::rename(left.c_str(), path.c_str()) == 0)
            continue;
        fs::remove_all(left, ignored);
    }
}

class NativeOutput final : public Output {
public:
    NativeOutput(fs::path path, bool folder, bool overwrite, bool sync, std::shared_ptr<const InputsRead> inputs)
        : path_(std::move(path)), inputs_(std::move(inputs)), folder_(folder), overwrite_(overwrite), sync_(sync) {
        // A name that nothing has, so that what a killed process of the same number left is never touched.
        const std::string stem = "." + path_.filename().string() + ".regauge-" + std::to_string(::getpid());
        std::error_code ignored;
        staged_ = path_.parent_path() / stem;  // replace_filename() frees what it should not where memory ends
        for (int k = 1; fs::exists(fs::symlink_status(staged_, ignored)); ++k)
            staged_ = path_.parent_path() / (stem + "-" + std::to_string(k));
        if (folder_ && ::mkdir(staged_.c_str(), inputs_->folderMode()) != 0) writeFailed(path_.string(), errno);
    }
    ~NativeOutput() override {
        if (committed_) return;
        closeSink();
        try {
            std::error_code ignored;
            fs::remove_all(staged_, ignored);
        } catch (const std::bad_alloc&) {  // the next run to the same output removes it
        }
    }

    ByteSink& file(const std::string& name) override {
        finishSink();
        fs::path member = staged_;
        if (!name.empty()) {
            member /= name;
            std::error_code error;
            fs::create_directories(member.parent_path(), error);
            if (error) writeFailed((path_ / name).string(), error.value());
            members_.insert(fs::path(name).lexically_normal());
        }
        const std::string shown = (name.empty() ? path_ : path_ / name).string();
        sink_ = std::make_unique<FileSink>(member.string(), shown, inputs_->fileMode(name));
        behind_ = std::make_unique<WriteBehind>(*sink_);
        return *behind_;
    }

    void commit() override {
        finishSink();
        inputs_->requireUnchanged(path_.string());
        if (folder_)
            inputs_->refuseAround(path_.string());
        else
            inputs_->refuseInput(path_.string());
        if (folder_ && sync_) syncStagedFolders();
        struct stat there {};
        if (!overwrite_ || ::lstat(path_.c_str(), &there) != 0)
            placeNew(staged_, path_, folder_);
        else if (folder_)
            replaceFolder();
        else
            replaceFile(there);
        if (sync_) syncPlace();
        committed_ = true;
        try {
            removeFormer();
        } catch (const std::bad_alloc&) {  // the new is there, whole; the next run removes the former
        }
    }

private:
    // Where what was at the path is, once the new is there: it was nothing; under the staged name; moved aside; or
    // lost, where the system can but replace.
    enum class Former { nothing, staged, aside, lost };

    // Waits until the disk has the new name. Where it does not say so, the former comes back, and it throws.
    void syncPlace() {
        try {
            syncFolder(path_.parent_path(), path_.string());
        } catch (...) {
            if (takeBack()) throw;
            committed_ = true;  // nothing is removed any more
            throw Error(ErrorCode::writeFailed, path_.string(),
                        "is in its place, but the disk does not confirm it; check it, and write it again if need be");
        }
    }
    bool takeBack() const {
        switch (former_) {
            case Former::nothing: return ::rename(path_.c_str(), staged_.c_str()) == 0;
            case Former::staged: return renameWith(staged_, path_, exchangeBoth) == 0;
            case Former::aside:
                return (!folder_ || ::rename(path_.c_str(), staged_.c_str()) == 0) &&
                       ::rename(aside().c_str(), path_.c_str()) == 0;
            case Former::lost: break;
        }
        return false;
    }
    void removeFormer() const {
        if (former_ != Former::staged && former_ != Former::aside) return;
        const fs::path former = former_ == Former::staged ? staged_ : aside();
        if (folder_)
            removeMembers(former);
        else
            ::unlink(former.c_str());
    }
    fs::path aside() const { return staged_.string() + "-old"; }

    void replaceFile(const struct stat& there) {
        if (S_ISDIR(there.st_mode)) placeFailed(path_.string(), EISDIR);
        if (sync_ && renameWith(staged_, path_, exchangeBoth) == 0) {
            former_ = Former::staged;
            return;
        }
        // Without an exchange, a second name keeps the old until the disk has the new.
        former_ = sync_ && linkAs(path_, aside()) == 0 ? Former::aside : Former::lost;
        if (::rename(staged_.c_str(), path_.c_str()) == 0) return;
        const int error = errno;
        if (former_ == Former::aside) ::unlink(aside().c_str());
        placeFailed(path_.string(), error);
    }

    // Throws Error(outputExists) where the folder at the path holds anything but files of the names that are written
    // now.
    void requireOnlyMembers() const {
        std::error_code error;
        if (fs::is_symlink(path_, error))
            throw Error(
                ErrorCode::outputExists, path_.string(),
                "is a link, and only a folder itself is replaced; remove the link, or choose another name with -o");
        const auto refuse = [&](const fs::path& entry) {
            throw Error(ErrorCode::outputExists, path_.string(),
                        "holds " + entry.string() +
                            ", which is nothing that would be written there again; move it away, or choose another "
                            "name with -o");
        };
        fs::recursive_directory_iterator entry(path_, error);
        for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
            const fs::path name = entry->path().lexically_relative(path_);
            std::error_code unknown;
            const fs::file_status status = fs::symlink_status(entry->path(), unknown);
            const bool holdsMember = std::ranges::any_of(members_, [&](const fs::path& member) {
                return std::ranges::mismatch(name, member).in1 == name.end();
            });
            if (fs::is_directory(status) ? !holdsMember : !fs::is_regular_file(status) || !members_.contains(name))
                refuse(name);
            if (const auto identity = identityAt(entry->path().string()); identity && inputs_->pathOf(*identity))
                refuse(name);
        }
        if (error)
            throw Error(ErrorCode::outputExists, path_.string(),
                        "cannot be looked through before it is replaced: " + error.message());
    }

    // Removes members and the folders that held them, and nothing that came there since it was looked through.
    void removeMembers(const fs::path& folder) const {
        std::error_code ignored;
        for (const fs::path& member : members_) fs::remove(folder / member, ignored);
        for (const fs::path& member : members_)
            for (fs::path at = member.parent_path(); !at.empty(); at = at.parent_path())
                fs::remove(folder / at, ignored);
        fs::remove(folder, ignored);
    }

    void replaceFolder() {
        requireOnlyMembers();
        former_ = Former::staged;
        if (renameWith(staged_, path_, exchangeBoth) == 0) return;
        if (!unknownRename(errno)) placeFailed(path_.string(), errno);
        // Two steps, where there is no exchange: a folder cannot be renamed over one that is not empty.
        former_ = Former::aside;
        if (::rename(path_.c_str(), aside().c_str()) != 0) placeFailed(path_.string(), errno);
        if (::rename(staged_.c_str(), path_.c_str()) != 0) {
            const int error = errno;
            if (::rename(aside().c_str(), path_.c_str()) != 0)
                throw Error(ErrorCode::writeFailed, path_.string(),
                            std::string("cannot be written: ") + std::strerror(error) + "; what was there is now at " +
                                aside().string());
            placeFailed(path_.string(), error);
        }
    }

    void syncStagedFolders() const {
        std::set<fs::path> folders{fs::path()};
        for (const fs::path& member : members_)
            for (fs::path at = member.parent_path(); !at.empty(); at = at.parent_path()) folders.insert(at);
        for (const fs::path& folder : folders) syncFolder(folder.empty() ? staged_ : staged_ / folder, path_.string());
    }

    void finishSink() {
        if (behind_) behind_->finish();
        if (sink_) sink_->finish(sync_);
        closeSink();
    }
    void closeSink() {
        behind_.reset();
        sink_.reset();
    }

    fs::path path_, staged_;
    std::shared_ptr<const InputsRead> inputs_;
    std::set<fs::path> members_;  // of a folder, as written
    bool folder_, overwrite_, sync_, committed_ = false;
    Former former_ = Former::nothing;
    std::unique_ptr<FileSink> sink_;
    std::unique_ptr<WriteBehind> behind_;
};

// Whether `path` is below `folder`, both without links.
bool isBelow(const fs::path& path, const fs::path& folder) {
    return std::ranges::mismatch(folder, path).in1 == folder.end();
}

// Throws Error(unsupported) where a file of an input folder is a link to somewhere else, which the folder's owner could
// not have meant to hand out.
// The hub's cache keeps its files as links from models--x/snapshots/<commit> to models--x/blobs: these are the folder's
// own.
void refuseLinkOut(const std::string& path, const InputsRead& inputs) {
    std::error_code error;
    if (!fs::is_symlink(path, error)) return;
    const fs::path parent = fs::path(path).parent_path();
    const auto identity = identityAt(parent.empty() ? "." : parent.string());
    if (!identity || !inputs.pathOf(*identity)) return;  // named by the user, and not found in a folder
    const fs::path folder = fs::canonical(parent.empty() ? "." : parent, error),
                   to = error ? fs::path() : fs::canonical(path, error);
    if (error || isBelow(to, folder)) return;  // what leads nowhere is told when it is opened
    for (fs::path at = folder; at.has_relative_path(); at = at.parent_path())
        if (at.filename() == "snapshots") {
            const fs::path blobs = fs::canonical(at.parent_path() / "blobs", error);
            if (!error && isBelow(to, blobs)) return;
        }
    throw Error(ErrorCode::unsupported, path,
                "is a link that leaves its folder, to " + to.string() +
                    "; put a copy of the file in its place if it belongs here");
}

std::string_view kindOf(mode_t mode) {
    return S_ISDIR(mode)                    ? "a folder"
           : S_ISFIFO(mode)                 ? "a pipe"
           : S_ISSOCK(mode)                 ? "a socket"
           : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
                                            : "something else";
}

[[noreturn]] void refuseKind(const std::string& path, mode_t mode) {
    throw Error(ErrorCode::missingFile, path,
                S_ISDIR(mode) ? "is a folder, and a file is needed"
                              : "is " + std::string(kindOf(mode)) + ", and a regular file is needed");
}

}  // namespace

NativeFiles::NativeFiles() : inputs_(std::make_shared<InputsRead>()) {}

bool NativeFiles::exists(const std::string& path) const {
    std::error_code ignored;
    return fs::exists(fs::symlink_status(inHubCache(path), ignored));
}

bool NativeFiles::isFolder(const std::string& path) const {
    std::error_code ignored;
    return fs::is_directory(inHubCache(path), ignored);
}

std::vector<std::string> NativeFiles::list(const std::string& given) const {
    const std::string folder = inHubCache(given);
    std::vector<std::string> names;
    if (const int error = namesIn(folder, names))
        throw Error(ErrorCode::missingFile, folder, std::string("cannot be listed: ") + std::strerror(error));
    std::error_code unknown;
    std::erase_if(names, [&](const std::string& name) { return fs::is_directory(fs::path(folder) / name, unknown); });
    struct stat status {};
    if (::stat(folder.c_str(), &status) == 0) inputs_->addFolder(folder, status);
    std::ranges::sort(names);
    return names;
}

std::unique_ptr<ByteSource> NativeFiles::open(const std::string& given) const {
    const std::string path = inHubCache(given);
    struct stat status {};
    refuseLinkOut(path, *inputs_);
    const bool there = ::stat(path.c_str(), &status) == 0;
    if (there && !S_ISREG(status.st_mode)) refuseKind(path, status.st_mode);
    // Without waiting, for what may have become a pipe since.
    Descriptor file(there ? ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1);
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0)
        throw Error(
            ErrorCode::missingFile, path,
            errno == ENOENT ? "there is no such file" : std::string("cannot be opened: ") + std::strerror(errno));
    if (!S_ISREG(status.st_mode)) refuseKind(path, status.st_mode);
    inputs_->addFile(path, status);
    return std::make_unique<FileSource>(given, file.release(), static_cast<std::uint64_t>(status.st_size));
}

std::unique_ptr<Output> NativeFiles::create(const std::string& path, bool folder, bool overwrite) {
    std::error_code ignored;
    if (path.empty()) throw Error(ErrorCode::usage, "", "the output has no name");
    const fs::path named = fs::path(path).filename().empty() ? fs::path(path).parent_path() : fs::path(path);
    collectStale(named);
    if (folder)
        inputs_->refuseAround(path);
    else
        inputs_->refuseInput(path);
    if (fs::exists(fs::symlink_status(path, ignored))) {
        if (!overwrite) refuseTaken(path);
        if (fs::is_directory(path, ignored) != folder || (!folder && !fs::is_regular_file(path, ignored)))
            throw Error(
                ErrorCode::outputExists, path,
                folder ? "is a file, and the output is a folder" : "is not a regular file, and the output is one");
    }
    const fs::path parent = fs::path(path).parent_path();
    if (!parent.empty() && !fs::is_directory(parent, ignored))
        throw Error(ErrorCode::writeFailed, path, "its folder does not exist; make it first");
    return std::make_unique<NativeOutput>(named, folder, overwrite, sync, inputs_);
}

}  // namespace regauge

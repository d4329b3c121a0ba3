#include "native_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "regauge/error.hpp"
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
        if (offset > size_ || into.size() > size_ - offset)
            throw Error(ErrorCode::truncated, name_,
                        "ends at byte " + std::to_string(size_) + ", before byte " +
                            std::to_string(offset + into.size()) + " that is needed");
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

class FileSink final : public ByteSink {
public:
    // path: the temporary file; shownPath: what messages call it.
    FileSink(const std::string& path, std::string shownPath)
        : shownPath_(std::move(shownPath)), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
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
    void finish() {
        if (::close(file_.release()) != 0)
            writeFailed(shownPath_, errno);  // some file systems tell of a full disk only now
    }

private:
    std::string shownPath_;
    Descriptor file_;
};

class NativeOutput final : public Output {
public:
    NativeOutput(fs::path path, bool folder, bool overwrite)
        : path_(std::move(path)), folder_(folder), overwrite_(overwrite) {
        if (path_.filename().empty()) path_ = path_.parent_path();  // "out/" means "out"
        staged_ = path_;
        staged_.replace_filename("." + path_.filename().string() + ".regauge-" + std::to_string(::getpid()));
        std::error_code ignored;
        fs::remove_all(staged_, ignored);  // left by a killed process of the same number
        if (folder_ && ::mkdir(staged_.c_str(), 0777) != 0) writeFailed(path_.string(), errno);
    }
    ~NativeOutput() override {
        if (committed_) return;
        closeSink();
        std::error_code ignored;
        fs::remove_all(staged_, ignored);
    }

    ByteSink& file(const std::string& name) override {
        finishSink();
        fs::path member = staged_;
        if (!name.empty()) {
            member /= name;
            std::error_code error;
            fs::create_directories(member.parent_path(), error);
            if (error) writeFailed((path_ / name).string(), error.value());
        }
        sink_ = std::make_unique<FileSink>(member.string(), (name.empty() ? path_ : path_ / name).string());
        behind_ = std::make_unique<WriteBehind>(*sink_);
        return *behind_;
    }

    void commit() override {
        finishSink();
        // rename(2) replaces a file in one step; a folder must be moved aside first, and comes back if the second step
        // fails.
        fs::path aside;
        if (folder_ && overwrite_ && fs::exists(path_)) {
            aside = staged_.string() + "-old";
            if (::rename(path_.c_str(), aside.c_str()) != 0) writeFailed(path_.string(), errno);
        }
        if (::rename(staged_.c_str(), path_.c_str()) != 0) {
            const int error = errno;
            if (!aside.empty()) ::rename(aside.c_str(), path_.c_str());
            writeFailed(path_.string(), error);
        }
        committed_ = true;
        std::error_code ignored;
        if (!aside.empty()) fs::remove_all(aside, ignored);
    }

private:
    void finishSink() {
        if (behind_) behind_->finish();
        if (sink_) sink_->finish();
        closeSink();
    }
    void closeSink() {
        behind_.reset();
        sink_.reset();
    }

    fs::path path_, staged_;
    bool folder_, overwrite_, committed_ = false;
    std::unique_ptr<FileSink> sink_;
    std::unique_ptr<WriteBehind> behind_;
};

}  // namespace

bool NativeFiles::exists(const std::string& path) const {
    std::error_code ignored;
    return fs::exists(fs::symlink_status(path, ignored));
}

bool NativeFiles::isFolder(const std::string& path) const {
    std::error_code ignored;
    return fs::is_directory(path, ignored);
}

std::vector<std::string> NativeFiles::list(const std::string& folder) const {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        if (!entry->is_directory()) names.push_back(entry->path().filename().string());
    if (error) throw Error(ErrorCode::missingFile, folder, "cannot be listed: " + error.message());
    std::ranges::sort(names);
    return names;
}

std::unique_ptr<ByteSource> NativeFiles::open(const std::string& path) const {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (fd < 0 || ::fstat(fd, &status) != 0) {
        const int error = errno;
        if (fd >= 0) ::close(fd);
        throw Error(
            ErrorCode::missingFile, path,
            error == ENOENT ? "there is no such file" : std::string("cannot be opened: ") + std::strerror(error));
    }
    if (!S_ISREG(status.st_mode)) {
        ::close(fd);
        throw Error(ErrorCode::missingFile, path,
                    S_ISDIR(status.st_mode) ? "is a folder, and a file is needed" : "is not a regular file");
    }
    return std::make_unique<FileSource>(path, fd, static_cast<std::uint64_t>(status.st_size));
}

std::unique_ptr<Output> NativeFiles::create(const std::string& path, bool folder, bool overwrite) {
    std::error_code ignored;
    if (path.empty()) throw Error(ErrorCode::usage, "", "the output has no name");
    if (exists(path)) {
        if (!overwrite)
            throw Error(ErrorCode::outputExists, path,
                        "exists already; --force overwrites it, or choose another name with -o");
        if (isFolder(path) != folder || (!folder && !fs::is_regular_file(path, ignored)))
            throw Error(
                ErrorCode::outputExists, path,
                folder ? "is a file, and the output is a folder" : "is not a regular file, and the output is one");
    }
    const fs::path parent = fs::path(path).parent_path();
    if (!parent.empty() && !fs::is_directory(parent, ignored))
        throw Error(ErrorCode::writeFailed, path, "its folder does not exist; make it first");
    return std::make_unique<NativeOutput>(path, folder, overwrite);
}

}  // namespace regauge

// Linux, macOS and, for the tests in Node, Emscripten.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "os.hpp"

namespace fs = std::filesystem;

namespace regauge::os {
namespace {

int errorOf(int status) { return status == 0 ? 0 : errno; }

Kind kindOf(mode_t mode) {
    return S_ISREG(mode)                    ? Kind::file
           : S_ISDIR(mode)                  ? Kind::folder
           : S_ISLNK(mode)                  ? Kind::link
           : S_ISFIFO(mode)                 ? Kind::pipe
           : S_ISSOCK(mode)                 ? Kind::socket
           : S_ISCHR(mode) || S_ISBLK(mode) ? Kind::device
                                            : Kind::other;
}

Status statusFrom(const struct stat& from) {
#if defined(__APPLE__)
    const timespec& time = from.st_mtimespec;
#else
    const timespec& time = from.st_mtim;
#endif
    constexpr unsigned permissions = 07777;
    return {.kind = kindOf(from.st_mode),
            .identity = {static_cast<std::uint64_t>(from.st_dev), static_cast<std::uint64_t>(from.st_ino)},
            .size = static_cast<std::uint64_t>(from.st_size),
            .second = static_cast<std::int64_t>(time.tv_sec),
            .fraction = static_cast<std::int64_t>(time.tv_nsec),
            .mode = static_cast<unsigned>(from.st_mode) & permissions};
}

#if defined(__linux__) && !defined(__EMSCRIPTEN__)
constexpr unsigned replaceNothing = RENAME_NOREPLACE, exchangeBoth = RENAME_EXCHANGE;
int renameWith(const fs::path& from, const fs::path& to, unsigned flags) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) return 0;
    return errno == EINVAL || errno == ENOTSUP ? ENOSYS : errno;  // so say file systems that do not know the flags
}
#else
constexpr unsigned replaceNothing = 0, exchangeBoth = 0;
int renameWith(const fs::path&, const fs::path&, unsigned) { return ENOSYS; }
#endif

int flushed(int fd) {
    if (::fsync(fd) == 0) return 0;
    return errno == EINVAL || errno == ENOTSUP ? 0 : errno;  // some file systems cannot sync a folder, and say EINVAL
}

std::atomic<bool>* interruptedFlag = nullptr;  // lock-free: a signal handler may set it
void setInterrupted(int) { *interruptedFlag = true; }

}  // namespace

fs::path pathOf(const std::string& text) { return text; }
std::string textOf(const fs::path& path) { return path.string(); }
std::vector<std::string> wordsOf(int argc, char** argv) { return {argv + 1, argv + argc}; }
std::optional<std::string> environment(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}
std::optional<std::string> homeFolder() { return environment("HOME"); }

int statusOf(const fs::path& path, Status& status) {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) return errno;
    status = statusFrom(found);
    return 0;
}
int linkStatusOf(const fs::path& path, Status& status) {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0) return errno;
    status = statusFrom(found);
    return 0;
}
fs::path canonical(const fs::path& path, std::error_code& error) { return fs::canonical(path, error); }
fs::path weaklyCanonical(const fs::path& path, std::error_code& error) {
    return fs::weakly_canonical(fs::absolute(path, error), error);
}
int namesIn(const fs::path& folder, std::vector<std::string>& names) {
    const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(folder.c_str()), ::closedir);
    if (!opened) return errno;
    for (errno = 0; const dirent* entry = ::readdir(opened.get()); errno = 0)
        if (const std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
    return errno;
}

int File::openToRead(const fs::path& path, File& file, Status& status) {
    file.handle_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat found {};
    if (file.handle_ == none || ::fstat(static_cast<int>(file.handle_), &found) != 0) return errno;
    status = statusFrom(found);
    return 0;
}
int File::create(const fs::path& path, unsigned mode, File& file) {
    file.handle_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    return file.handle_ == none ? errno : 0;
}
int File::read(std::uint64_t offset, std::span<std::byte> into, std::size_t& got) const {
    ssize_t count = 0;
    do count = ::pread(static_cast<int>(handle_), into.data(), into.size(), static_cast<off_t>(offset));
    while (count < 0 && errno == EINTR);
    if (count < 0) return errno;
    got = static_cast<std::size_t>(count);
    return 0;
}
int File::write(std::span<const std::byte> bytes, std::size_t& put) {
    ssize_t count = 0;
    do count = ::write(static_cast<int>(handle_), bytes.data(), bytes.size());
    while (count < 0 && errno == EINTR);
    if (count < 0) return errno;
    put = static_cast<std::size_t>(count);
    return 0;
}
int File::flush() { return flushed(static_cast<int>(handle_)); }
int File::close() { return errorOf(::close(static_cast<int>(std::exchange(handle_, none)))); }

int makeFolder(const fs::path& path, unsigned mode) {
    return errorOf(::mkdir(path.c_str(), static_cast<mode_t>(mode)));
}
int removeFile(const fs::path& path) { return errorOf(::unlink(path.c_str())); }
int rename(const fs::path& from, const fs::path& to) { return errorOf(::rename(from.c_str(), to.c_str())); }
int renameToFree(const fs::path& from, const fs::path& to) { return renameWith(from, to, replaceNothing); }
int exchange(const fs::path& one, const fs::path& other) { return renameWith(one, other, exchangeBoth); }
int link(const fs::path& file, const fs::path& name) {
#ifdef __EMSCRIPTEN__  // the tests run there, in Node: no system call for it
    (void)file, (void)name;
    return ENOSYS;
#else
    return errorOf(::link(file.c_str(), name.c_str()));
#endif
}
int flushFolder(const fs::path& folder) {
    const int opened = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return 0;  // one that may be written in and not read is left to the system
    const int error = flushed(opened);
    ::close(opened);
    return error;
}

std::uint64_t processNumber() { return static_cast<std::uint64_t>(::getpid()); }
bool isAlive(const std::string& process) {
    const long number = std::strtol(process.c_str(), nullptr, 10);
    return number <= 0 || ::kill(static_cast<pid_t>(number), 0) == 0 || errno != ESRCH;
}

void keepStandardStreams() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDONLY) < 0) std::_Exit(2);
}
void prepareStreams() {
    ::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error of write(), told like a full disk
    ::signal(SIGPIPE, SIG_IGN);  // the same for a closed pipe
}
void onInterrupt(std::atomic<bool>& interrupted) {
    interruptedFlag = &interrupted;
    struct sigaction action {};
    action.sa_handler = setInterrupted;
    action.sa_flags = SA_RESETHAND;  // a second Ctrl-C ends at once
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    struct sigaction before {};
    ::sigaction(SIGHUP, nullptr, &before);
    if (before.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);  // nohup asked to be left alone
}
bool errIsTerminal() { return ::isatty(STDERR_FILENO) == 1; }
bool readerWentAway(int error) { return error == EPIPE; }
void sayWithoutMemory(std::string_view words) {
    [[maybe_unused]] const auto put = ::write(STDERR_FILENO, words.data(), words.size());
}

}  // namespace regauge::os

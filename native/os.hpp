// The machine as native/ needs it, and the only place where POSIX and Windows differ: os_posix.cpp and os_windows.cpp
// are two implementations of it, and CMake compiles one. Errors are numbers of errno, 0 where there is none.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace regauge::os {

// --- names ---------------------------------------------------------------------------------------------------

// The core's paths are UTF-8 with slashes. std::filesystem::path(std::string) is something else on Windows.
std::filesystem::path pathOf(const std::string& text);
std::string textOf(const std::filesystem::path& path);
// The words after the command's name, in UTF-8; backslashes of Windows become slashes.
std::vector<std::string> wordsOf(int argc, char** argv);
// A variable of the environment, in UTF-8; nothing where it is not set.
std::optional<std::string> environment(const char* name);
std::optional<std::string> homeFolder();

// --- what is at a name ---------------------------------------------------------------------------------------

enum class Kind { file, folder, link, pipe, socket, device, other };

// Two names of one file have the same. Windows: the volume's serial number and the file's index.
struct FileIdentity {
    std::uint64_t device = 0, inode = 0;
    auto operator<=>(const FileIdentity&) const = default;
};

struct Status {
    Kind kind = Kind::other;
    FileIdentity identity{};
    std::uint64_t size = 0;                 // bytes
    std::int64_t second = 0, fraction = 0;  // when it was last written to
    unsigned mode = 0;                      // permissions as chmod(2) has them; Windows has others, and all are here
};

int statusOf(const std::filesystem::path& path, Status& status);      // of what links lead to
int linkStatusOf(const std::filesystem::path& path, Status& status);  // of a link itself
inline bool isThere(const std::filesystem::path& path) {              // a link is, wherever it leads
    Status ignored;
    return linkStatusOf(path, ignored) == 0;
}
inline bool isFolder(const std::filesystem::path& path) {
    Status status;
    return statusOf(path, status) == 0 && status.kind == Kind::folder;
}
inline bool isLink(const std::filesystem::path& path) {
    Status status;
    return linkStatusOf(path, status) == 0 && status.kind == Kind::link;
}
// Absolute and without links; std::filesystem of GCC 12 sees none on Windows.
std::filesystem::path canonical(const std::filesystem::path& path, std::error_code& error);
std::filesystem::path weaklyCanonical(const std::filesystem::path& path, std::error_code& error);
// Adds the names in a folder. Not std::filesystem's: without memory its iterators end the process (libstdc++ 12).
int namesIn(const std::filesystem::path& folder, std::vector<std::string>& names);

// --- open files ----------------------------------------------------------------------------------------------

class File {
public:
    File() = default;
    File(File&& other) noexcept : handle_(std::exchange(other.handle_, none)) {}
    File& operator=(File&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~File() {
        if (handle_ != none) close();
    }
    // Without waiting for what may have become a pipe since it was looked at; its status as it is open.
    static int openToRead(const std::filesystem::path& path, File& file, Status& status);
    // A file that was not there.
    static int create(const std::filesystem::path& path, unsigned mode, File& file);
    // A part of it, or nothing at the end; takes up what a signal interrupted.
    int read(std::uint64_t offset, std::span<std::byte> into, std::size_t& got) const;
    int write(std::span<const std::byte> bytes, std::size_t& put);
    int flush();  // waits until the disk has it
    int close();

private:
    static constexpr std::intptr_t none = -1;
    std::intptr_t handle_ = none;  // a descriptor or a HANDLE
};

// --- changes of names ----------------------------------------------------------------------------------------

int makeFolder(const std::filesystem::path& path, unsigned mode);
int removeFile(const std::filesystem::path& path);
// Replaces a file that is there.
int rename(const std::filesystem::path& from, const std::filesystem::path& to);
// EEXIST where anything is at `to`. ENOSYS where the system or its file system cannot.
int renameToFree(const std::filesystem::path& from, const std::filesystem::path& to);
// Two names change their places, at once. ENOSYS likewise; Windows cannot.
int exchange(const std::filesystem::path& one, const std::filesystem::path& other);
// A second name of a file, which must be free.
int link(const std::filesystem::path& file, const std::filesystem::path& name);
// Waits until the disk has a folder's entries; a folder that cannot be read is left to the system. Windows: the renames
// above have waited.
int flushFolder(const std::filesystem::path& folder);

// --- the process ---------------------------------------------------------------------------------------------

std::uint64_t processNumber();
bool isAlive(const std::string& process);
// Takes the numbers of standard streams that the caller closed, or an output file would get them, and answers and
// messages would land in it.
void keepStandardStreams();
// Answers are bytes, and UTF-8 to a console; a write that fails is an error, and no signal.
void prepareStreams();
// Ctrl-C, a terminal that goes away and the like set it.
void onInterrupt(std::atomic<bool>& interrupted);
bool errIsTerminal();
// Whether a write to standard output failed because nobody reads it any more.
bool readerWentAway(int error);
// To standard error, where there is no memory.
void sayWithoutMemory(std::string_view words);

}  // namespace regauge::os

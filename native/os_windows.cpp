// Windows 10 and later, by handles and wide names.
#include <windows.h>

#include <fcntl.h>
#include <io.h>
#include <shellapi.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "os.hpp"

namespace fs = std::filesystem;

namespace regauge::os {
namespace {

// The number of errno that says the same. What has none there is an input or output error.
int errnoOf(DWORD error) {
    switch (error) {
        case ERROR_SUCCESS: return 0;
        case ERROR_FILE_NOT_FOUND:
        case ERROR_PATH_NOT_FOUND:
        case ERROR_INVALID_NAME:
        case ERROR_INVALID_DRIVE:
        case ERROR_BAD_NETPATH:
        case ERROR_BAD_NET_NAME:
        case ERROR_BAD_PATHNAME: return ENOENT;
        case ERROR_ACCESS_DENIED:
        case ERROR_SHARING_VIOLATION:
        case ERROR_LOCK_VIOLATION:
        case ERROR_CURRENT_DIRECTORY: return EACCES;
        case ERROR_WRITE_PROTECT: return EROFS;
        case ERROR_FILE_EXISTS:
        case ERROR_ALREADY_EXISTS: return EEXIST;
        case ERROR_DIR_NOT_EMPTY: return ENOTEMPTY;
        case ERROR_DIRECTORY: return ENOTDIR;
        case ERROR_DISK_FULL:
        case ERROR_HANDLE_DISK_FULL: return ENOSPC;
        case ERROR_FILENAME_EXCED_RANGE: return ENAMETOOLONG;
        case ERROR_TOO_MANY_OPEN_FILES: return EMFILE;
        case ERROR_TOO_MANY_LINKS: return EMLINK;
        case ERROR_NOT_SAME_DEVICE: return EXDEV;
        case ERROR_NOT_SUPPORTED:
        case ERROR_CALL_NOT_IMPLEMENTED:
        case ERROR_INVALID_FUNCTION: return ENOTSUP;
        case ERROR_NOT_ENOUGH_MEMORY:
        case ERROR_OUTOFMEMORY: return ENOMEM;
        case ERROR_PIPE_BUSY: return EBUSY;
        default: return EIO;
    }
}
int lastError() { return errnoOf(GetLastError()); }
int errorOf(BOOL done) { return done ? 0 : lastError(); }

HANDLE handleOf(std::intptr_t number) { return reinterpret_cast<HANDLE>(number); }
std::intptr_t numberOf(HANDLE handle) { return reinterpret_cast<std::intptr_t>(handle); }

// What is no UTF-8, or no UTF-16, becomes U+FFFD, and names nothing.
std::wstring wide(std::string_view text) {
    const int size = static_cast<int>(text.size());
    std::wstring made(static_cast<std::size_t>(MultiByteToWideChar(CP_UTF8, 0, text.data(), size, nullptr, 0)), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.data(), size, made.data(), static_cast<int>(made.size()));
    return made;
}
std::string narrow(std::wstring_view text) {
    const int size = static_cast<int>(text.size());
    const int count = WideCharToMultiByte(CP_UTF8, 0, text.data(), size, nullptr, 0, nullptr, nullptr);
    std::string made(static_cast<std::size_t>(count), '\0');
    WideCharToMultiByte(CP_UTF8, 0, text.data(), size, made.data(), count, nullptr, nullptr);
    return made;
}

struct Closing {
    void operator()(HANDLE handle) const { CloseHandle(handle); }
};
using Opened = std::unique_ptr<void, Closing>;

constexpr DWORD anyShare = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

// To ask about it, not to read it; flags may say that of a link itself. Null, with GetLastError().
Opened look(const fs::path& path, DWORD flags) {
    const HANDLE found = CreateFileW(path.c_str(), FILE_READ_ATTRIBUTES, anyShare, nullptr, OPEN_EXISTING,
                                     FILE_FLAG_BACKUP_SEMANTICS | flags, nullptr);  // folders too
    return Opened(found == INVALID_HANDLE_VALUE ? nullptr : found);
}

// A link or a junction; what a cloud's folder keeps elsewhere is a reparse point, too, and none.
bool isLinkTag(DWORD attributes, HANDLE handle) {
    if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0) return false;
    FILE_ATTRIBUTE_TAG_INFO tag{};
    return GetFileInformationByHandleEx(handle, FileAttributeTagInfo, &tag, sizeof tag) &&
           (tag.ReparseTag == IO_REPARSE_TAG_SYMLINK || tag.ReparseTag == IO_REPARSE_TAG_MOUNT_POINT);
}

int statusFrom(HANDLE handle, Status& status) {
    const DWORD type = GetFileType(handle);
    if (type != FILE_TYPE_DISK) {
        status = {.kind = type == FILE_TYPE_PIPE ? Kind::pipe : type == FILE_TYPE_CHAR ? Kind::device : Kind::other};
        return 0;
    }
    BY_HANDLE_FILE_INFORMATION found{};
    if (!GetFileInformationByHandle(handle, &found)) return lastError();
    const auto joined = [](DWORD high, DWORD low) { return (std::uint64_t{high} << 32) | low; };
    const std::uint64_t time = joined(found.ftLastWriteTime.dwHighDateTime, found.ftLastWriteTime.dwLowDateTime);
    constexpr std::uint64_t ticksPerSecond = 10'000'000;  // of 100 ns: FILETIME
    const DWORD attributes = found.dwFileAttributes;
    status = {.kind = isLinkTag(attributes, handle)                  ? Kind::link
                      : (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 ? Kind::folder
                                                                     : Kind::file,
              .identity = {found.dwVolumeSerialNumber, joined(found.nFileIndexHigh, found.nFileIndexLow)},
              .size = joined(found.nFileSizeHigh, found.nFileSizeLow),
              .second = static_cast<std::int64_t>(time / ticksPerSecond),
              .fraction = static_cast<std::int64_t>(time % ticksPerSecond),
              .mode = 0777};
    return 0;
}

int statusBy(const fs::path& path, DWORD flags, Status& status) {
    const Opened found = look(path, flags);
    return found ? statusFrom(found.get(), status) : lastError();
}

// A scanner or an indexer may have what was just written open for a moment, and then it cannot be moved; a folder with
// such a file in it, or a target that is open, says ERROR_ACCESS_DENIED.
template <class Call>
int insist(Call call) {
    constexpr int tries = 20;
    constexpr DWORD pause = 50;  // ms: a second in all
    for (int left = tries;; --left) {
        if (call()) return 0;
        const DWORD error = GetLastError();
        const bool passes =
            error == ERROR_SHARING_VIOLATION || error == ERROR_LOCK_VIOLATION || error == ERROR_ACCESS_DENIED;
        if (left == 0 || !passes) return errnoOf(error);
        Sleep(pause);
    }
}

std::atomic<bool>* interruptedFlag = nullptr;

BOOL WINAPI setInterrupted(DWORD event) {
    const bool again = interruptedFlag->exchange(true);
    if (event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT) return again ? FALSE : TRUE;  // a second one ends at once
    // A window that closes, a session that ends: the process is gone when this returns, so main has what time the
    // system gives (5 s) to remove what it staged, and its end is the end of this thread.
    Sleep(INFINITE);
    return TRUE;
}

UINT formerCodePage = 0;
void giveBackCodePage() { SetConsoleOutputCP(formerCodePage); }

bool isConsole(DWORD stream) {
    DWORD mode = 0;
    return GetConsoleMode(GetStdHandle(stream), &mode) != 0;
}

}  // namespace

fs::path pathOf(const std::string& text) { return wide(text); }
std::string textOf(const fs::path& path) { return narrow(path.generic_wstring()); }
std::vector<std::string> wordsOf(int, char**) {  // which are in the system's code page
    int count = 0;
    const std::unique_ptr<wchar_t*, void (*)(wchar_t**)> all(CommandLineToArgvW(GetCommandLineW(), &count),
                                                             [](wchar_t** words) { LocalFree(words); });
    std::vector<std::string> words;
    for (int k = 1; all && k < count; ++k) {
        std::string word = narrow(all.get()[k]);
        if (!word.starts_with(R"(\\?\)")) std::ranges::replace(word, '\\', '/');  // that prefix asks for no changes
        words.push_back(std::move(word));
    }
    return words;
}
std::optional<std::string> environment(const char* name) {
    const wchar_t* value = _wgetenv(wide(name).c_str());
    return value != nullptr ? std::optional(narrow(value)) : std::nullopt;
}
std::optional<std::string> homeFolder() { return environment("USERPROFILE"); }

int statusOf(const fs::path& path, Status& status) {
    const int error = statusBy(path, 0, status);
    if (error == 0 && status.kind == Kind::link) status.kind = Kind::other;  // followed, and still one
    return error;
}
int linkStatusOf(const fs::path& path, Status& status) { return statusBy(path, FILE_FLAG_OPEN_REPARSE_POINT, status); }
fs::path canonical(const fs::path& path, std::error_code& error) {
    error.clear();
    const Opened found = look(path, 0);
    std::wstring name(found ? GetFinalPathNameByHandleW(found.get(), nullptr, 0, FILE_NAME_NORMALIZED) : 0, L'\0');
    if (!name.empty())  // the length with the zero at its end; without it, once it is written
        name.resize(
            GetFinalPathNameByHandleW(found.get(), name.data(), static_cast<DWORD>(name.size()), FILE_NAME_NORMALIZED));
    if (name.empty()) error = {lastError(), std::generic_category()};
    return name;
}
fs::path weaklyCanonical(const fs::path& path, std::error_code& error) {
    fs::path at = fs::absolute(path, error).lexically_normal(), rest;
    while (!error) {
        const fs::path found = os::canonical(at, error);
        if (!error) return rest.empty() ? found : found / rest;
        if (!at.has_relative_path()) return {};
        if (!at.filename().empty()) rest = rest.empty() ? at.filename() : at.filename() / rest;
        at = at.parent_path();
        error.clear();
    }
    return {};
}
int namesIn(const fs::path& folder, std::vector<std::string>& names) {
    WIN32_FIND_DATAW entry{};
    const HANDLE found = FindFirstFileW((folder / L"*").c_str(), &entry);
    if (found == INVALID_HANDLE_VALUE) return lastError();
    const std::unique_ptr<void, BOOL(WINAPI*)(HANDLE)> closing(found, FindClose);
    do {
        std::string name = narrow(entry.cFileName);
        if (name != "." && name != "..") names.push_back(std::move(name));
    } while (FindNextFileW(found, &entry));
    return GetLastError() == ERROR_NO_MORE_FILES ? 0 : lastError();
}

int File::openToRead(const fs::path& path, File& file, Status& status) {
    file.handle_ = numberOf(
        CreateFileW(path.c_str(), GENERIC_READ, anyShare, nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr));
    return file.handle_ == none ? lastError() : statusFrom(handleOf(file.handle_), status);
}
int File::create(const fs::path& path, unsigned, File& file) {  // the folder says who may read it
    file.handle_ = numberOf(CreateFileW(path.c_str(), GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
                                        CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr));
    return file.handle_ == none ? lastError() : 0;
}
namespace {
constexpr std::size_t mostAtOnce = std::size_t{1} << 30;  // bytes: a DWORD counts them
}
int File::read(std::uint64_t offset, std::span<std::byte> into, std::size_t& got) const {
    OVERLAPPED place{};
    place.Offset = static_cast<DWORD>(offset & 0xffffffffu);
    place.OffsetHigh = static_cast<DWORD>(offset >> 32);
    DWORD count = 0;
    const auto wanted = static_cast<DWORD>(std::min(into.size(), mostAtOnce));
    if (!ReadFile(handleOf(handle_), into.data(), wanted, &count, &place) && GetLastError() != ERROR_HANDLE_EOF)
        return lastError();
    got = count;
    return 0;
}
int File::write(std::span<const std::byte> bytes, std::size_t& put) {
    DWORD count = 0;
    const auto wanted = static_cast<DWORD>(std::min(bytes.size(), mostAtOnce));
    if (!WriteFile(handleOf(handle_), bytes.data(), wanted, &count, nullptr)) return lastError();
    put = count;
    return 0;
}
int File::flush() { return errorOf(FlushFileBuffers(handleOf(handle_))); }
int File::close() { return errorOf(CloseHandle(handleOf(std::exchange(handle_, none)))); }

int makeFolder(const fs::path& path, unsigned) { return errorOf(CreateDirectoryW(path.c_str(), nullptr)); }
int removeFile(const fs::path& path) { return errorOf(DeleteFileW(path.c_str())); }
int rename(const fs::path& from, const fs::path& to) {
    Status status;
    const bool folder = linkStatusOf(from, status) == 0 && status.kind == Kind::folder;  // which replaces nothing
    const DWORD flags = MOVEFILE_WRITE_THROUGH | (folder ? 0u : MOVEFILE_REPLACE_EXISTING);
    return insist([&] { return MoveFileExW(from.c_str(), to.c_str(), flags); });
}
int renameToFree(const fs::path& from, const fs::path& to) {
    return insist([&] { return MoveFileExW(from.c_str(), to.c_str(), MOVEFILE_WRITE_THROUGH); });
}
int exchange(const fs::path&, const fs::path&) { return ENOSYS; }
int link(const fs::path& file, const fs::path& name) {
    return errorOf(CreateHardLinkW(name.c_str(), file.c_str(), nullptr));
}
int flushFolder(const fs::path&) { return 0; }

std::uint64_t processNumber() { return GetCurrentProcessId(); }
bool isAlive(const std::string& process) {
    const auto number = static_cast<DWORD>(std::strtoul(process.c_str(), nullptr, 10));
    const Opened opened(OpenProcess(SYNCHRONIZE, FALSE, number));
    if (!opened) return GetLastError() != ERROR_INVALID_PARAMETER;  // which says that there is none
    return WaitForSingleObject(opened.get(), 0) == WAIT_TIMEOUT;
}

void keepStandardStreams() {}  // files have no numbers here that a closed stream could leave to them
void prepareStreams() {
    for (std::FILE* stream : {stdin, stdout, stderr}) _setmode(_fileno(stream), _O_BINARY);
    if (!isConsole(STD_OUTPUT_HANDLE) && !isConsole(STD_ERROR_HANDLE)) return;
    formerCodePage = GetConsoleOutputCP();
    if (SetConsoleOutputCP(CP_UTF8)) std::atexit(giveBackCodePage);
}
void onInterrupt(std::atomic<bool>& interrupted) {
    interruptedFlag = &interrupted;
    SetConsoleCtrlHandler(setInterrupted, TRUE);
}
bool errIsTerminal() { return isConsole(STD_ERROR_HANDLE); }
bool readerWentAway(int error) {
    // EINVAL is the C library's word for ERROR_NO_DATA, and for much else.
    return error == EPIPE || (error == EINVAL && GetFileType(GetStdHandle(STD_OUTPUT_HANDLE)) == FILE_TYPE_PIPE);
}
void sayWithoutMemory(std::string_view words) {
    DWORD count = 0;
    WriteFile(GetStdHandle(STD_ERROR_HANDLE), words.data(), static_cast<DWORD>(words.size()), &count, nullptr);
}

}  // namespace regauge::os

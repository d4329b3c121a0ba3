#include "failing_system.hpp"

#if defined(__linux__) && !defined(__EMSCRIPTEN__)
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string_view>

namespace regauge::test {
namespace {

std::atomic<Fault> fault = Fault::none;
std::atomic<long> callsLeft = -1;  // calls before the one that fails; below 0: it has failed
std::atomic<bool> exchangesWork = true;
std::mutex deedsMutex;
char deedsText[4096];  // no memory of its own: it is written inside the calls that are watched
std::size_t deedsLength = 0;

bool isOfMemory(Fault kind) { return kind == Fault::memory || kind == Fault::memoryStays; }

// Whether this call is the one.
bool comes() { return callsLeft.fetch_sub(1) == 0; }

[[maybe_unused]] bool memoryFails() {
    const Fault kind = fault.load(std::memory_order_relaxed);
    if (!isOfMemory(kind)) return false;
    const long before = callsLeft.fetch_sub(1);
    return before == 0 || (before < 0 && kind == Fault::memoryStays);
}

// Whether a call is to fail, with errno; does not come back from the process's death. transfers: it reads or writes.
bool callFails(bool transfers) {
    const Fault kind = fault.load(std::memory_order_relaxed);
    if (kind != Fault::error && kind != Fault::errorStays && kind != Fault::death &&
        !(kind == Fault::interrupted && transfers))
        return false;
    const long before = callsLeft.fetch_sub(1);
    if (before > 0 || (before < 0 && kind != Fault::errorStays)) return false;
    if (kind == Fault::death) ::_exit(died);
    errno = kind == Fault::interrupted ? EINTR : EIO;
    return true;
}

// How many bytes a transfer of `count` moves.
std::size_t moved(std::size_t count) {
    return count > 1 && fault.load(std::memory_order_relaxed) == Fault::partly && comes() ? 1 : count;
}

void note(const char* deed) {
    if (fault.load(std::memory_order_relaxed) == Fault::none) return;
    const std::lock_guard lock(deedsMutex);
    const std::string_view text(deed), so(deedsText, deedsLength);
    if (so.ends_with(text) || deedsLength + text.size() > sizeof deedsText) return;
    text.copy(deedsText + deedsLength, text.size());
    deedsLength += text.size();
}

template <class Call>
Call* real(const char* name) {
    return reinterpret_cast<Call*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

FailingSystem::FailingSystem(Fault kind, long failing, bool exchanges) {
    callsLeft = failing;
    exchangesWork = exchanges;
    deedsLength = 0;
    fault = kind;
}
FailingSystem::~FailingSystem() {
    fault = Fault::none;
    exchangesWork = true;
}
long FailingSystem::left() const { return callsLeft.load(); }
std::string FailingSystem::deeds() const { return {deedsText, deedsLength}; }

}  // namespace regauge::test

namespace fault = regauge::test;
using fault::callFails;

#ifndef REGAUGE_ADDRESS_SANITIZER  // which has its own, and asks that what one of them took another gives back
// The library's other forms of new and delete come down to these.
void* operator new(std::size_t size) {
    if (!fault::memoryFails())
        if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    const auto align = static_cast<std::size_t>(alignment);
    if (!fault::memoryFails())
        if (void* memory = std::aligned_alloc(align, (size + align - 1) / align * align)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif

extern "C" {

ssize_t pread(int fd, void* into, size_t count, off_t offset) {
    static auto* const call = fault::real<ssize_t(int, void*, size_t, off_t)>("pread");
    return callFails(true) ? -1 : call(fd, into, fault::moved(count), offset);
}

ssize_t write(int fd, const void* from, size_t count) {
    static auto* const call = fault::real<ssize_t(int, const void*, size_t)>("write");
    if (callFails(true)) return -1;
    fault::note("write ");
    return call(fd, from, fault::moved(count));
}

int open(const char* path, int flags, ...) {
    static auto* const call = fault::real<int(const char*, int, ...)>("open");
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return callFails(false) ? -1 : call(path, flags, mode);
}

int close(int fd) {
    static auto* const call = fault::real<int(int)>("close");
    const bool fails = callFails(false);
    const int status = call(fd);
    return fails ? (errno = EIO, -1) : status;  // the number is free then, too
}

int fsync(int fd) {
    static auto* const call = fault::real<int(int)>("fsync");
    if (callFails(false)) return -1;
    struct stat status {};
    fault::note(::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode) ? "sync-folder " : "sync ");
    return call(fd);
}

int mkdir(const char* path, mode_t mode) noexcept {
    static auto* const call = fault::real<int(const char*, mode_t)>("mkdir");
    return callFails(false) ? -1 : call(path, mode);
}

int link(const char* from, const char* to) noexcept {
    static auto* const call = fault::real<int(const char*, const char*)>("link");
    if (callFails(false)) return -1;
    fault::note("rename ");
    return call(from, to);
}

int unlink(const char* path) noexcept {
    static auto* const call = fault::real<int(const char*)>("unlink");
    return callFails(false) ? -1 : call(path);
}

int rename(const char* from, const char* to) noexcept {
    static auto* const call = fault::real<int(const char*, const char*)>("rename");
    if (callFails(false)) return -1;
    fault::note("rename ");
    return call(from, to);
}

int renameat2(int fromFolder, const char* from, int toFolder, const char* to, unsigned flags) noexcept {
    static auto* const call = fault::real<int(int, const char*, int, const char*, unsigned)>("renameat2");
    if (!fault::exchangesWork) return errno = ENOSYS, -1;
    if (callFails(false)) return -1;
    fault::note("rename ");
    return call(fromFolder, from, toFolder, to, flags);
}
}
#endif

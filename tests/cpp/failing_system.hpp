// The system, of which one call fails or is the last: operator new, and the calls by which files are read, written and
// put in their places. (failing_system.cpp stands before the C library's in this program.)
#pragma once

// GCC and Clang say in different ways that the address sanitizer takes and gives back memory.
#if defined(__SANITIZE_ADDRESS__)
#define REGAUGE_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REGAUGE_ADDRESS_SANITIZER
#endif
#endif

#if defined(__linux__) && !defined(__EMSCRIPTEN__)
#include <string>

namespace regauge::test {

enum class Fault {
    none,
    memory,       // an allocation throws std::bad_alloc
    memoryStays,  // and so does every one after it
    error,        // a system call says EIO
    errorStays,   // and so does every one after it
    interrupted,  // a read or write says EINTR; the others are not counted
    partly,       // a read or write does one byte only; the others are not counted
    death,        // the process is gone before the call is made
};

// While it lives, allocations or system calls are counted, on all threads, and number `failing` of them, from 0, has
// the fault. One at a time.
class FailingSystem {
public:
    FailingSystem(Fault fault, long failing, bool exchanges = true);  // exchanges: renameat2 knows its flags
    FailingSystem(const FailingSystem&) = delete;
    FailingSystem& operator=(const FailingSystem&) = delete;
    ~FailingSystem();
    long left() const;  // calls until the one that fails
    // Of calls that succeeded: "write", "sync", "rename", and "sync-folder", in their order, each once in a row.
    std::string deeds() const;
};

// The status with which the process dies by Fault::death.
constexpr int died = 86;

}  // namespace regauge::test
#endif

// Matrices of tens of megabytes on large pages, where Linux has them: a fault for every 2 MB instead of every 4 KB, and
// fewer misses of the address translation: about a fifth of the time of a plain alignment at d = 4096.
#if defined(__linux__)
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t page = std::size_t{2} << 20;

void* allocate(std::size_t size, std::size_t alignment) {
    const bool large = size >= 2 * page;
    const std::size_t unit = large ? page : alignment;
    const std::size_t whole = (std::max<std::size_t>(size, 1) + unit - 1) / unit * unit;
    void* memory = whole < size ? nullptr : std::aligned_alloc(unit, whole);
    if (memory == nullptr) throw std::bad_alloc();
    if (large) madvise(memory, whole, MADV_HUGEPAGE);  // a wish: nothing is lost where it is not granted
    return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif

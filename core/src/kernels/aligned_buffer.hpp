// Memory for kernels: aligned to a cache line (and so to every vector), zero at first unless said.
#pragma once

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace regauge::kernels {

inline constexpr std::size_t cacheLine = 64;

// Large blocks begin at a huge page, where the system has those: to touch memory for the first time, 4 KiB after 4 KiB, takes longer than to fill it.
inline constexpr std::size_t hugePage = std::size_t{2} << 20;
inline std::align_val_t alignmentOf([[maybe_unused]] std::size_t bytes) {
#ifdef __linux__
    if (bytes >= hugePage) return std::align_val_t{hugePage};
#endif
    return std::align_val_t{cacheLine};
}

template <class T>
struct AlignedAllocator {
    using value_type = T;
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(std::size_t count) {
        void* memory = ::operator new(count * sizeof(T), alignmentOf(count * sizeof(T)));
#ifdef __linux__
        if (count * sizeof(T) >= hugePage) madvise(memory, count * sizeof(T), MADV_HUGEPAGE);  // a wish: refused, it costs nothing
#endif
        return static_cast<T*>(memory);
    }
    void deallocate(T* pointer, std::size_t count) { ::operator delete(pointer, alignmentOf(count * sizeof(T))); }
    template <class U>
    bool operator==(const AlignedAllocator<U>&) const {
        return true;
    }
};

// Leaves new elements as they come: for what is written before it is read, where clearing it would cost a pass over memory.
template <class T>
struct UnclearedAllocator : AlignedAllocator<T> {
    UnclearedAllocator() = default;
    template <class U>
    UnclearedAllocator(const UnclearedAllocator<U>&) {}
    template <class U>
    void construct(U* at) {
        ::new (static_cast<void*>(at)) U;
    }
    template <class U, class V>
    void construct(U* at, V&& value) {
        ::new (static_cast<void*>(at)) U(std::forward<V>(value));
    }
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;
template <class T>
using UnclearedVector = std::vector<T, UnclearedAllocator<T>>;

}  // namespace regauge::kernels

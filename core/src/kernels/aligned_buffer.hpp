// Memory for kernels: aligned to a cache line (and so to every vector), zero at first.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace regauge::kernels {

inline constexpr std::size_t cacheLine = 64;

template <class T>
struct AlignedAllocator {
    using value_type = T;
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{cacheLine})); }
    void deallocate(T* pointer, std::size_t) { ::operator delete(pointer, std::align_val_t{cacheLine}); }
    template <class U>
    bool operator==(const AlignedAllocator<U>&) const {
        return true;
    }
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace regauge::kernels

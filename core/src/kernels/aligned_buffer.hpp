// Memory for kernels: aligned to a cache line (and so to every vector), zero at first unless said.
#pragma once

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

namespace regauge::kernels {

inline constexpr std::size_t cacheLine = 64;

template <class T>
struct AlignedAllocator {
    using value_type = T;
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(std::size_t count) {
        return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{cacheLine}));
    }
    void deallocate(T* pointer, std::size_t) { ::operator delete (pointer, std::align_val_t{cacheLine}); }
    template <class U>
    bool operator==(const AlignedAllocator<U>&) const {
        return true;
    }
};

// Leaves new elements as they come: for what is written before it is read, where clearing it would cost a pass over
// memory.
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

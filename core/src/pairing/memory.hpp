// How much memory summing and matching take, so that what cannot fit is refused before anything is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace regauge {

// What is to be done.
struct MemoryPlan {
    std::size_t d = 0;
    std::uint64_t rows = 0;  // of the largest site
    bool withGram = false;   // whitening
    std::size_t sites = 1;
    bool inDoubt = false;   // what refines and judges an answer in doubt too
    bool sumsOnly = false;  // statistics: nothing is solved, and `sites` is how many sums are held at a time
};

// Bytes that are needed.
std::uint64_t memoryNeeded(const MemoryPlan& plan);

// available: bytes; 0 where nobody knows. Throws Error(tooLarge), which says what is needed, what there is and what
// would need less.
void requireMemory(const MemoryPlan& plan, std::uint64_t available, const std::string& where);

}  // namespace regauge

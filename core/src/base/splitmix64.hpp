// splitmix64 (Steele, Lea and Flood 2014): random numbers that are the same on every target, which the standard
// library's distributions are not.
#pragma once

#include <cstdint>

namespace regauge {

// The next 64 bits of the stream that `state` (at first the seed) carries on.
inline std::uint64_t splitmix64(std::uint64_t& state) {
    std::uint64_t z = state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

// In [0, 1), 53 bits.
inline double uniform(std::uint64_t& state) { return static_cast<double>(splitmix64(state) >> 11) * 0x1p-53; }

}  // namespace regauge

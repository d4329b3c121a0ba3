// Seeds and small random choices that are the same on every machine (the standard library's distributions are not).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <span>

namespace regauge::experiments {

// splitmix64's mixing of a few numbers into one seed: `seedOf({run, step})`.
inline std::uint64_t seedOf(std::initializer_list<std::uint64_t> parts) {
    std::uint64_t z = 0;
    for (const std::uint64_t part : parts) {
        z += part + 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        z ^= z >> 31;
    }
    return z;
}

// A Mersenne twister and choices from it. The bias of `%` is below 1e-15 for the sizes here.
class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(engine_() % bound); }
    bool chance(double probability) { return static_cast<double>(engine_() >> 11) * 0x1p-53 < probability; }
    template <class Choices>
    const auto& pick(const Choices& choices) {
        return choices[below(std::size(choices))];
    }

private:
    std::mt19937_64 engine_;
};

}  // namespace regauge::experiments

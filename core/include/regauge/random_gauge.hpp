// Random gauges: uniform over B_d, the same numbers on every target.
#pragma once

#include <cstddef>
#include <cstdint>

#include "regauge/gauge.hpp"

namespace regauge {

// A stream of gauges from a seed: splitmix64 (Steele, Lea and Flood 2014), bounded without bias, Fisher and Yates'
// shuffle, one bit a sign.
// The standard library's generators agree everywhere, its distributions and shuffle do not.
class RandomGauges {
public:
    explicit RandomGauges(std::uint64_t seed) : state_(seed) {}
    // O(d).
    Gauge next(std::size_t d);

private:
    std::uint64_t draw();
    std::uint64_t below(std::uint64_t bound);  // 0 .. bound - 1, each as likely
    std::uint64_t state_;
};

}  // namespace regauge

#include "regauge/random_gauge.hpp"

#include <numeric>
#include <utility>

#include "base/splitmix64.hpp"

namespace regauge {

std::uint64_t RandomGauges::draw() { return splitmix64(state_); }

std::uint64_t RandomGauges::below(std::uint64_t bound) {
    const std::uint64_t uneven =
        (0 - bound) % bound;  // 2^64 mod bound: the first of these would make small numbers likelier
    std::uint64_t number = draw();
    while (number < uneven) number = draw();
    return number % bound;
}

Gauge RandomGauges::next(std::size_t d) {
    std::vector<std::uint32_t> perm(d);
    std::iota(perm.begin(), perm.end(), 0U);
    for (std::size_t i = d; i > 1; --i) std::swap(perm[i - 1], perm[static_cast<std::size_t>(below(i))]);
    std::vector<std::int8_t> sign(d);
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < d; ++i) {
        if (i % 64 == 0) bits = draw();
        sign[i] = (bits >> (i % 64) & 1U) != 0 ? std::int8_t{1} : std::int8_t{-1};
    }
    return Gauge(std::move(perm), std::move(sign));
}

}  // namespace regauge

// Which half of the rows a row belongs to: blocks of 32 take turns, because neighbouring tokens resemble each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace regauge {

constexpr std::uint64_t rowsTogether = 32;  // that stay in one half

// By the row's number, which holds whoever sums it.
constexpr std::size_t halfOf(std::uint64_t row) { return static_cast<std::size_t>(row / rowsTogether % 2); }

}  // namespace regauge

// Rows for tests, made of exact arithmetic only, so that they are the same numbers on every target.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "regauge/correlation.hpp"
#include "regauge/isa.hpp"

namespace regauge::testing {

// splitmix64.
class Numbers {
public:
    explicit Numbers(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
    int between(int low, int high) { return low + static_cast<int>(below(static_cast<std::size_t>(high - low + 1))); }
    // Nearly normal: the sum of 12 uniform numbers, mean 0, variance 1. Exact sums of multiples of 2^-20.
    float normal() {
        double sum = -6;
        for (int i = 0; i < 12; ++i) sum += static_cast<double>(next() >> 44) * 0x1p-20;
        return static_cast<float>(sum);
    }

private:
    std::uint64_t state_;
};

// A float matrix and its bytes in some dtype, `shift` bytes off alignment.
struct Rows {
    Rows(std::size_t n, std::size_t channels) : rows(n), d(channels), values(n * channels) {}
    float& at(std::size_t row, std::size_t column) { return values[row * d + column]; }
    float at(std::size_t row, std::size_t column) const { return values[row * d + column]; }

    // The view lives until the next call. BF16 and F16 are cut, not rounded: tests need numbers, not these numbers.
    RowsView as(Dtype dtype, std::size_t shift = 0) {
        bytes.assign(values.size() * byteSize(dtype) + shift, std::byte{0});
        for (std::size_t i = 0; i < values.size(); ++i) {
            std::byte* to = bytes.data() + shift + i * byteSize(dtype);
            const auto bits = std::bit_cast<std::uint32_t>(values[i]);
            if (dtype == Dtype::F32) {
                std::memcpy(to, &bits, 4);
            } else if (dtype == Dtype::F64) {
                const double wide = static_cast<double>(values[i]);
                std::memcpy(to, &wide, 8);
            } else {
                const std::uint16_t half =
                    dtype == Dtype::BF16 ? static_cast<std::uint16_t>(bits >> 16) : toHalf(values[i]);
                std::memcpy(to, &half, 2);
            }
        }
        return {bytes.data() + shift, dtype, rows, d};
    }
    RowsView view() const { return {reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, rows, d}; }
    RowsView part(std::size_t first, std::size_t count) const {
        return {reinterpret_cast<const std::byte*>(values.data() + first * d), Dtype::F32, count, d};
    }

    std::size_t rows;
    std::size_t d;
    std::vector<float> values;
    std::vector<std::byte> bytes;

private:
    static std::uint16_t toHalf(float x) {
        const auto sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000 : 0);
        if (std::isnan(x)) return static_cast<std::uint16_t>(sign | 0x7e00);
        if (std::fabs(x) > 65504) return static_cast<std::uint16_t>(sign | 0x7c00);
        const auto bits = std::bit_cast<std::uint32_t>(std::fabs(x) * 0x1p-112f);
        return static_cast<std::uint16_t>(sign | (bits >> 13));
    }
};

// n paired rows: y is x through a hidden mixing with noise. Channels have different means and scales, some are
// negative.
struct RowPair {
    RowPair(std::size_t n, std::size_t d, std::uint64_t seed = 1) : x(n, d), y(n, d) {
        Numbers numbers(seed);
        for (std::size_t row = 0; row < n; ++row) {
            for (std::size_t j = 0; j < d; ++j) {
                const float scale = std::ldexp(1.0f, static_cast<int>(j % 7) - 3);
                const float signal =
                    numbers.normal() +
                    (j > 0 ? 0.5f * x.at(row, j - 1) / std::ldexp(1.0f, static_cast<int>((j - 1) % 7) - 3) : 0);
                x.at(row, j) = scale * signal + static_cast<float>(j % 3) - 1;
                y.at(row, j) = (j % 2 == 0 ? signal : -signal) + 0.75f * numbers.normal();
            }
        }
    }
    Rows x;
    Rows y;
};

// Calls fn with every instruction set of this machine forced in turn.
template <class Fn>
void onEveryInstructionSet(Fn&& fn) {
    struct Restore {
        ~Restore() { forceInstructionSet(""); }
    } restore;
    for (const std::string_view name : instructionSets()) {
        forceInstructionSet(name);
        fn(name);
    }
}

}  // namespace regauge::testing

// The permanent test matrices of the assignment: what real evidence looks like, and what is known to make solvers
// explode.
// Integers only, so that every machine, the tests and the benchmarks see the same scores.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace regauge::testing {

// splitmix64: small, seeded and the same everywhere.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t bits() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    // In [low, high].
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(high - low + 1));
    }
    // Nearly normal with standard deviation `spread`: the sum of eight 16-bit uniforms, centred (their standard
    // deviation is 53510).
    std::int64_t normal(std::int64_t spread) {
        const std::uint64_t a = bits();
        const std::uint64_t b = bits();
        std::int64_t sum = -4 * 65535;
        for (unsigned shift = 0; shift < 64; shift += 16)
            sum += static_cast<std::int64_t>((a >> shift & 0xffff) + (b >> shift & 0xffff));
        return sum * spread / 53510;
    }
    std::vector<std::size_t> permutation(std::size_t n) {
        std::vector<std::size_t> p(n);
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t k = static_cast<std::size_t>(between(0, static_cast<std::int64_t>(i)));
            p[i] = p[k];
            p[k] = i;
        }
        return p;
    }

private:
    std::uint64_t state_;
};

inline constexpr std::array<std::string_view, 12> matrixNames{"strong",   "weak",     "noise",    "duplicates",
                                                              "bos",      "bos-rows", "rank-one", "machol-wien",
                                                              "low-rank", "ties",     "equal",    "dead"};

// An n x n matrix of |correlation| times `scale`, rounded. Noise has the spread that 2048 paired rows leave: 1/45.
inline std::vector<std::int32_t> makeMatrix(std::string_view name, std::size_t n, std::int64_t scale = 1 << 24,
                                            std::uint64_t seed = 1) {
    Random random(seed * 1000003 + n);
    const std::int64_t spread = scale / 45;
    const std::vector<std::size_t> partner = random.permutation(n);
    std::vector<std::int32_t> score(n * n);
    std::vector<std::int64_t> u(n);
    std::vector<std::int64_t> v(n);
    const auto fill = [&](auto&& entry) {
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < n; ++j) score[i * n + j] = static_cast<std::int32_t>(entry(i, j));
        }
    };
    const auto planted = [&](std::int64_t r) {  // |r| for the pairs, noise for the rest
        fill([&](std::size_t i, std::size_t j) { return std::abs((partner[i] == j ? r : 0) + random.normal(spread)); });
    };
    const auto uniforms = [&](std::int64_t low) {
        for (std::int64_t& x : u) x = random.between(low, 1 << 20);
        for (std::int64_t& x : v) x = random.between(low, 1 << 20);
    };
    if (name == "strong")
        planted(scale * 7 / 10);
    else if (name == "weak")
        planted(scale * 7 / 100);
    else if (name == "noise")
        planted(0);
    else if (name == "duplicates") {  // channels of a cluster of 16 are copies of one another but for the noise
        fill([&](std::size_t i, std::size_t j) {
            return std::abs((partner[i] / 16 == j / 16 ? scale * 8 / 10 : 0) + random.normal(spread));
        });
    } else if (name == "bos") {  // one row outweighs all others: u v^T and noise
        uniforms(1 << 17);
        fill([&](std::size_t i, std::size_t j) {
            return std::abs(((u[i] * v[j]) >> 20) * scale / (1 << 20) + random.normal(spread));
        });
    } else if (name == "bos-rows") {  // the same, with the planted pairs still there in what the massive row leaves of
                                      // the variance
        uniforms(1 << 17);
        fill([&](std::size_t i, std::size_t j) {
            const std::int64_t left = (((1 << 20) - u[i]) * ((1 << 20) - v[j])) >> 20;
            const std::int64_t rest = (partner[i] == j ? scale / 2 : 0) + random.normal(spread);
            return std::abs(((u[i] * v[j]) >> 20) * scale / (1 << 20) + (rest * left >> 20));
        });
    } else if (name == "rank-one") {
        uniforms(1);
        fill([&](std::size_t i, std::size_t j) { return ((u[i] * v[j]) >> 20) * scale >> 20; });
    } else if (name == "machol-wien") {  // Machol and Wien: hard for nearly every method
        const std::int64_t last = static_cast<std::int64_t>(n * n);
        fill([&](std::size_t i, std::size_t j) {
            return static_cast<std::int64_t>((i + 1) * (j + 1)) * (scale / last > 0 ? scale / last : 1);
        });
    } else if (name == "low-rank") {
        std::vector<std::int64_t> a(4 * n);
        std::vector<std::int64_t> b(4 * n);
        for (std::int64_t& x : a) x = random.normal(1 << 18);
        for (std::int64_t& x : b) x = random.normal(1 << 18);
        fill([&](std::size_t i, std::size_t j) {
            std::int64_t sum = 0;
            for (std::size_t k = 0; k < 4; ++k) sum += a[4 * i + k] * b[4 * j + k];
            return (std::abs(sum) >> 20) * scale >> 20;
        });
    } else if (name == "ties") {
        fill([&](std::size_t, std::size_t) { return random.between(0, 3); });
    } else if (name == "equal") {
        fill([&](std::size_t, std::size_t) { return scale / 3; });
    } else if (name == "dead") {  // a fifth of the channels on either side never varies
        planted(scale * 7 / 100);
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < n; ++j) {
                if (partner[i] % 5 == 0 || j % 5 == 0) score[i * n + j] = 0;
            }
        }
    }
    return score;
}

}  // namespace regauge::testing

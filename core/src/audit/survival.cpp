#include "audit/survival.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace regauge {
namespace {

// The share of the true top channels whose stated sign is right; nothing where none is stated.
template <class Stated>
std::optional<double> signAgreement(const std::vector<std::size_t>& top, const Claim& truth, Stated stated) {
    std::size_t signs = 0, right = 0;
    for (const std::size_t i : top) {
        if (truth.sign[i] == 0) continue;
        ++signs;
        right += stated(i) == truth.sign[i] ? 1U : 0U;
    }
    return signs == 0 ? std::nullopt : std::optional(static_cast<double>(right) / static_cast<double>(signs));
}

}  // namespace

std::vector<std::size_t> topChannels(const std::vector<double>& magnitude, std::size_t k) {
    std::vector<std::size_t> channels;
    for (std::size_t i = 0; i < magnitude.size(); ++i)
        if (magnitude[i] > 0) channels.push_back(i);
    if (channels.size() > k) {
        std::nth_element(channels.begin(), channels.begin() + static_cast<std::ptrdiff_t>(k), channels.end(),
                         [&](std::size_t a, std::size_t b) {
                             return magnitude[a] != magnitude[b] ? magnitude[a] > magnitude[b] : a < b;
                         });
        channels.resize(k);
        std::sort(channels.begin(), channels.end());
    }
    return channels;
}

std::optional<double> jaccard(const std::vector<std::size_t>& a, const std::vector<std::size_t>& b) {
    if (a.empty() && b.empty()) return std::nullopt;
    std::size_t common = 0;
    for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
        if (*x == *y)
            ++common, ++x, ++y;
        else if (*x < *y)
            ++x;
        else
            ++y;
    }
    return static_cast<double>(common) / static_cast<double>(a.size() + b.size() - common);
}

std::vector<std::int64_t> centredRanks(const std::vector<double>& values) {
    const std::size_t d = values.size();
    std::vector<std::size_t> order(d);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
    std::vector<std::int64_t> ranks(d);
    for (std::size_t from = 0; from < d;) {
        std::size_t to = from + 1;
        while (to < d && values[order[to]] == values[order[from]]) ++to;
        const auto doubled = static_cast<std::int64_t>(from + to - 1) -
                             static_cast<std::int64_t>(d - 1);  // twice the mean of from .. to - 1, less its mean
        for (std::size_t k = from; k < to; ++k) ranks[order[k]] = doubled;
        from = to;
    }
    return ranks;
}

std::optional<double> spearman(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
    std::int64_t ab = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i < a.size(); ++i) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
    if (aa == 0 || bb == 0) return std::nullopt;
    if (aa == bb)
        return static_cast<double>(ab) /
               static_cast<double>(aa);  // the same magnitudes in another order: no root to round
    return static_cast<double>(ab) / (std::sqrt(static_cast<double>(aa)) * std::sqrt(static_cast<double>(bb)));
}

double chanceOverlap(std::size_t d, std::size_t k) {
    if (k == 0 || d == 0) return 0;
    // From the mode outwards, as ratios: nothing overflows, and what underflows does not count.
    const double D = static_cast<double>(d), K = static_cast<double>(k);
    const std::size_t least = 2 * k > d ? 2 * k - d : 0;
    const std::size_t mode = std::clamp(static_cast<std::size_t>((K + 1) * (K + 1) / (D + 2)), least, k);
    const auto up = [&](double m) { return (K - m) * (K - m) / ((m + 1) * (D - 2 * K + m + 1)); };  // P(m + 1) / P(m)
    const auto overlap = [&](double m) { return m / (2 * K - m); };
    double total = 1, sum = overlap(static_cast<double>(mode)), p = 1;
    for (std::size_t m = mode; m < k; ++m) {
        p *= up(static_cast<double>(m));
        total += p, sum += p * overlap(static_cast<double>(m + 1));
    }
    p = 1;
    for (std::size_t m = mode; m > least; --m) {
        p /= up(static_cast<double>(m - 1));
        total += p, sum += p * overlap(static_cast<double>(m - 1));
    }
    return sum / total;
}

Comparison::Comparison(Claim claim, std::size_t k)
    : claim_(std::move(claim)),
      k_(k),
      top_(topChannels(claim_.magnitude, k)),
      ranks_(centredRanks(claim_.magnitude)),
      isSigned_(std::any_of(top_.begin(), top_.end(), [&](std::size_t i) { return claim_.sign[i] != 0; })) {}

Survival<double> Comparison::notMoved(const Gauge& gauge, const Claim& truth) const {
    Survival<double> survival;
    const std::vector<std::size_t> top = topChannels(truth.magnitude, k_);
    survival.overlap = jaccard(top_, top);
    std::vector<std::int64_t> ranks(ranks_.size());  // of the truth: the same ranks, elsewhere
    for (std::size_t i = 0; i < ranks.size(); ++i) ranks[i] = ranks_[gauge.perm()[i]];
    survival.rank = spearman(ranks_, ranks);
    survival.sign = signAgreement(top, truth, [&](std::size_t i) { return claim_.sign[gauge.perm()[i]]; });
    return survival;
}

Survival<double> Comparison::moved(const Claim& moved, const Claim& truth) const {
    Survival<double> survival;
    const std::vector<std::size_t> top = topChannels(truth.magnitude, k_);
    survival.overlap = jaccard(topChannels(moved.magnitude, k_), top);
    const bool same = moved == truth;  // then there is nothing to rank
    survival.rank =
        same ? spearman(ranks_, ranks_) : spearman(centredRanks(moved.magnitude), centredRanks(truth.magnitude));
    survival.sign = signAgreement(top, truth, [&](std::size_t i) { return moved.sign[i]; });
    return survival;
}

Survival<double> Comparison::chance() const {
    Survival<double> survival;
    if (!top_.empty()) survival.overlap = chanceOverlap(claim_.magnitude.size(), top_.size());
    if (spearman(ranks_, ranks_)) survival.rank = 0;
    if (isSigned_) survival.sign = 0.5;
    return survival;
}

}  // namespace regauge

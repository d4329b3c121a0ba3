// The three comparisons of an audit: top-k overlap, rank correlation, sign agreement.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "claims/claims.hpp"
#include "regauge/audit.hpp"

namespace regauge {

// The k channels of the largest magnitude, in ascending order; ties go to the lower number. Channels of magnitude 0 are
// not among them.
std::vector<std::size_t> topChannels(const std::vector<double>& magnitude, std::size_t k);

// |A and B| / |A or B| of ascending lists; nothing where both are empty.
std::optional<double> jaccard(const std::vector<std::size_t>& a, const std::vector<std::size_t>& b);

// Ranks, doubled and centred, ties at their mean: whole numbers whose sum is 0.
std::vector<std::int64_t> centredRanks(const std::vector<double>& values);

// Spearman's correlation from centred ranks. Sums are exact (d < 10^6). Nothing where either side has no spread.
std::optional<double> spearman(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b);

// The expected Jaccard index of two independent random k-subsets of d channels: sum over m of P(m) m / (2k - m), m
// hypergeometric.
double chanceOverlap(std::size_t d, std::size_t k);

// A claim that is compared again and again.
class Comparison {
public:
    Comparison(Claim claim, std::size_t k);
    // The claim read in the model moved by `gauge` as it stands, and as `moved` reads it there.
    Survival<double> notMoved(const Gauge& gauge, const Claim& truth) const;
    Survival<double> moved(const Claim& moved, const Claim& truth) const;
    Survival<double> chance() const;
    const Claim& claim() const { return claim_; }

private:
    Claim claim_;
    std::size_t k_;
    std::vector<std::size_t> top_;
    std::vector<std::int64_t> ranks_;
    bool isSigned_;
};

}  // namespace regauge

// Matching: from evidence on both sides to the gauge between them, and how sure it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "regauge/alignment.hpp"
#include "regauge/evidence.hpp"
#include "regauge/progress.hpp"
#include "regauge/team.hpp"

namespace regauge {

struct MatchOptions {
    Group group = Group::signedPermutation;
    Statistic statistic = Statistic::automatic;
    std::vector<std::string> sites;     // empty: all sites that both sides have
    std::optional<std::uint64_t> rows;  // use only the first N rows of each site
    std::uint64_t skipFirst = 0;        // leave out the first N rows of each sequence (BOS)
    unsigned threads = 1;               // the answer does not depend on it
    std::uint64_t memory =
        0;  // bytes that may be taken; 0: nobody knows. What cannot fit is refused before it is allocated
    Team* team =
        nullptr;  // processes that sum the rows together, this one the first of them; the answer does not depend on it
};

// Aligns source with target: y[i] = sign[i] * x[perm[i]]. Rows are paired by position; where both sides carry token_ids
// they must agree.
// Throws Error: dimensionMismatch, rowsMismatch, tokensDiffer, notFinite, usage (no common site), tooLarge, cancelled.
// Time O(rows d^2 + d^3), memory O(d^2).
Alignment match(const Evidence& source, const Evidence& target, const MatchOptions& options = {},
                const Progress& progress = {});

// What the other members of options.team do while the first one calls match() on the same evidence: they sum their
// rows. Returns when it has its answer, or has failed; their own failures reach it as its own.
void helpMatch(const Evidence& source, const Evidence& target, const MatchOptions& options);

}  // namespace regauge

// The linear assignment problem, in integers, with a proof of optimality.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "regauge/progress.hpp"

namespace regauge {

// A permutation that maximises the sum of score[i][column[i]], and dual prices that prove it:
// rowPrice[i] + columnPrice[j] >= score[i][j] for all i, j, with equality where j == column[i].
struct Assignment {
    std::vector<std::uint32_t> column;      // per row; a permutation of 0 .. n-1
    std::vector<std::int64_t> rowPrice;     // length n
    std::vector<std::int64_t> columnPrice;  // length n
    std::int64_t total = 0;                 // the sum of matched scores = the sum of all prices
};

// Largest |score| that assign() takes; the prices then fit 64 bits for every n that fits memory.
inline constexpr std::int32_t maxScore = 1 << 30;

// Solves max sum_i score[i][column[i]] exactly. score: n x n, row-major, each within [-maxScore, maxScore].
// Among optimal permutations the one found is a fixed function of the scores: whatever the instruction set, the build
// or the thread count.
// (Where values tie, a column that no row holds yet comes first, then the lowest index.)
// The certificate has been checked against every score before this returns. progress: "assigning", matched rows, n.
// Throws Error: shapeMismatch (not n * n scores), tooLarge (a score out of range, naming its row), cancelled.
// One thread; one pass over the scores where the rows' largest scores lie in different columns, three to five for most
// others. Memory beside the scores:
// O(n), about 350 bytes a row.
// Bidding after Bertsekas (1988), shortest augmenting paths after Jonker and Volgenant (1987), both over lists of each
// row's best columns.
Assignment assign(std::span<const std::int32_t> score, std::size_t n, const Progress& progress = {});

// True when the prices prove that the assignment is optimal: one dense pass, O(n^2).
bool isOptimal(std::span<const std::int32_t> score, std::size_t n, const Assignment& assignment);

}  // namespace regauge

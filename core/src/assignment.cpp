#include "regauge/assignment.hpp"

#include <limits>
#include <string>

#include "regauge/error.hpp"

namespace regauge {

Assignment assign(std::span<const std::int32_t> score, std::size_t n, const Progress& progress) {
    if (score.size() != n * n) throw Error(ErrorCode::internal, "assign", "the score matrix is not n x n");
    for (std::int32_t s : score)
        if (s < -maxScore || s > maxScore) throw Error(ErrorCode::tooLarge, "assign", "a score lies outside [-2^30, 2^30]: " + std::to_string(s));
    constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
    constexpr std::int64_t infinite = std::numeric_limits<std::int64_t>::max();
    Assignment result;
    result.column.assign(n, none);
    result.rowPrice.assign(n, 0);
    result.columnPrice.assign(n, 0);
    auto& [column, u, v, total] = result;
    std::vector<std::uint32_t> row(n, none), parent(n);
    std::vector<std::int64_t> distance(n);
    std::vector<std::uint8_t> done(n);
    for (std::size_t i = 0; i < n; ++i) {
        u[i] = -infinite;
        for (std::size_t j = 0; j < n; ++j) u[i] = std::max<std::int64_t>(u[i], score[i * n + j] - v[j]);
        distance.assign(n, infinite);
        done.assign(n, 0);
        std::uint32_t reached = static_cast<std::uint32_t>(i), end = none;
        std::int64_t length = 0;
        while (end == none) {
            const std::int32_t* s = score.data() + reached * n;
            std::uint32_t next = none;
            for (std::uint32_t j = 0; j < n; ++j) {
                if (done[j]) continue;
                const std::int64_t d = length + u[reached] + v[j] - s[j];
                if (d < distance[j]) distance[j] = d, parent[j] = reached;
                if (next == none || distance[j] < distance[next]) next = j;
            }
            done[next] = 1;
            length = distance[next];
            if (row[next] == none) end = next;
            else reached = row[next];
        }
        for (std::size_t j = 0; j < n; ++j)
            if (done[j] && j != end) {
                v[j] += length - distance[j];
                u[row[j]] -= length - distance[j];
            }
        u[i] -= length;
        for (std::uint32_t j = end;;) {
            const std::uint32_t r = parent[j];
            row[j] = r;
            std::swap(column[r], j);
            if (r == i) break;
        }
        progress.report("assigning", i + 1, n);
    }
    for (std::size_t i = 0; i < n; ++i) total += score[i * n + column[i]];
    return result;
}

bool isOptimal(std::span<const std::int32_t> score, std::size_t n, const Assignment& a) {
    if (score.size() != n * n || a.column.size() != n || a.rowPrice.size() != n || a.columnPrice.size() != n) return false;
    std::vector<std::uint8_t> taken(n);
    std::int64_t total = 0;
    for (std::size_t i = 0; i < n; ++i) {
        if (a.column[i] >= n || taken[a.column[i]]++) return false;
        if (a.rowPrice[i] + a.columnPrice[a.column[i]] != score[i * n + a.column[i]]) return false;
        total += score[i * n + a.column[i]];
        for (std::size_t j = 0; j < n; ++j)
            if (a.rowPrice[i] + a.columnPrice[j] < score[i * n + j]) return false;
    }
    return total == a.total;
}

}  // namespace regauge

#include "assignment/solve.hpp"

namespace regauge::assignment {

Assignment solveWide(std::span<const std::int32_t> score, std::size_t n, const Opening& opening,
                     const Progress& progress) {
    Market<std::int64_t> market(score, n, progress);
    return solve(market, opening, progress);
}

}  // namespace regauge::assignment

#include "pairing/memory.hpp"

#include <algorithm>
#include <cstdio>

#include "correlation/tile_sums.hpp"
#include "kernels/panel.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t buffers = std::uint64_t{48}
                                  << 20;       // rows as they are read, and quantised ones that wait to be multiplied
constexpr std::uint64_t blockRows = 2 * 1024;  // of matrices that are multiplied in blocks (symmetric.hpp)

std::string memoryText(std::uint64_t bytes) {
    char text[32];
    const double mebibytes = static_cast<double>(bytes) / (1 << 20);
    if (mebibytes < 100)
        std::snprintf(text, sizeof text, "%.1f MiB", mebibytes);
    else
        std::snprintf(text, sizeof text, "%.1f GiB", mebibytes / 1024);
    return text;
}

}  // namespace

std::uint64_t memoryNeeded(const MemoryPlan& plan) {
    // In quarters of a d x d matrix of 32-bit numbers.
    constexpr std::uint64_t matrix = 4, triangle = 2;
    const int limit = plan.withGram ? kernels::fineLimit : kernels::coarseLimit;
    const std::uint64_t integers = plan.rows > TileSums::narrowRows(limit) ? 2 : 1;
    const std::uint64_t sums = integers * (2 * matrix + (plan.withGram ? 2 * triangle : 0));
    // While the sums become correlations of both halves; then either those, both Gram matrices, both inverse roots and
    // what multiplies them, or a whitened pair of halves and its integers.
    const std::uint64_t correlating = sums + 2 * matrix + (plan.withGram ? 2 * triangle : 0);
    const std::uint64_t solving = plan.withGram ? 2 * matrix + 4 * triangle + 3 * matrix : 3 * matrix;
    const std::uint64_t earlier = plan.sites > 1 ? 2 * matrix : 0;  // the halves of other sites
    // An answer in doubt: fused, plain and soft scores, both Gram matrices, structures of one site, and what the
    // posterior of the scores takes; of plain correlation both halves, and the posterior.
    const std::uint64_t whitened = 5 * matrix + 6 * triangle + 6 * matrix, plain = 4 * matrix + 2;
    const std::uint64_t doubts = !plan.inDoubt ? 0 : plan.withGram ? whitened : plain;
    const std::uint64_t quarters =
        plan.sumsOnly ? sums * plan.sites : std::max({correlating, solving, doubts}) + earlier;
    const std::uint64_t blocks = plan.withGram && !plan.sumsOnly ? blockRows * plan.d * 4 : 0;
    return quarters * plan.d * plan.d + blocks + buffers;
}

void requireMemory(const MemoryPlan& plan, std::uint64_t available, const std::string& where) {
    const std::uint64_t needed = memoryNeeded(plan);
    if (available == 0 || needed <= available) return;
    std::string advice;
    const auto suggest = [&](const char* what, MemoryPlan less) {
        if (memoryNeeded(less) < needed)
            advice += std::string(what) + " needs " + memoryText(memoryNeeded(less)) + "; ";
    };
    MemoryPlan plain = plan, single = plan;
    plain.withGram = false, single.sites = 1;
    suggest("--statistic correlation", plain);
    if (!plan.sumsOnly) suggest("one --site", single);
    throw Error(ErrorCode::tooLarge, where,
                "d = " + std::to_string(plan.d) + (plan.withGram ? " with whitening" : "") + " needs " +
                    memoryText(needed) + " of memory, and " + memoryText(available) + " is free here; " + advice +
                    "otherwise use a machine with more memory");
}

}  // namespace regauge

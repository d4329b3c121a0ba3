#include "correlation/multiply_rows.hpp"

#include <algorithm>
#include <vector>

namespace regauge {
namespace {

// A square of at most edge x edge tiles of one product: what one thread does in one go. With 8 panels a side it holds
// 256 KiB of sums and reads 256 KiB of rows a block, which the second-level cache keeps, so main memory sees every sum
// once for all rows.
struct Task {
    const RowProduct* product;
    std::size_t firstA;
    std::size_t firstB;
};

constexpr std::size_t widestEdge = 8;

std::size_t edgeFor(std::size_t panels, unsigned threads) {
    std::size_t edge = widestEdge;
    const auto tasks = [&] { return ((panels + edge - 1) / edge) * ((panels + edge - 1) / edge); };
    while (edge > 1 && tasks() < std::size_t{4} * threads && threads > 1) edge /= 2;
    return edge;
}

void multiplyTile(const RowProduct& product, std::size_t block, std::size_t groups, std::size_t i, std::size_t j,
                  const kernels::IntegerDot& kernel) {
    const std::uint32_t* a = product.a->panel(block, i);
    const std::uint32_t* b = product.b->panel(block, j);
    const std::int32_t* aSums = product.a->sums(block, i);
    const unsigned aRun = product.a->run(block, i);
    const std::size_t index = product.out->tileIndex(i, j);
    if (!product.out->wide()) {
        kernel.tile(a, b, aSums, aRun, groups, product.out->narrowTile(index));
        return;
    }
    alignas(kernels::cacheLine) std::int32_t here[kernels::tileSize] = {};
    kernel.tile(a, b, aSums, aRun, groups, here);
    std::int64_t* sums = product.out->wideTile(index);
    for (std::size_t k = 0; k < kernels::tileSize; ++k) sums[k] += here[k];
}

void run(const Task& task, std::size_t edge, std::size_t rows, const kernels::IntegerDot& kernel) {
    const RowProduct& product = *task.product;
    const std::size_t panels = product.a->panels();
    const std::size_t lastA = std::min(task.firstA + edge, panels);
    const std::size_t lastB = std::min(task.firstB + edge, panels);
    const bool lower = product.out->shape() == TileSums::Shape::lower;
    for (std::size_t block = 0; block < product.a->blocksIn(rows); ++block) {
        const std::size_t groups = product.a->groupsIn(block, rows);
        for (std::size_t j = task.firstB; j < lastB; ++j) {
            for (std::size_t i = lower ? std::max(task.firstA, j) : task.firstA; i < lastA; ++i)
                multiplyTile(product, block, groups, i, j, kernel);
        }
    }
}

}  // namespace

void sumChannels(PackedRows& packed, std::size_t rows, const kernels::IntegerDot& kernel, unsigned threads) {
    const std::size_t panels = packed.panels();
    constexpr double wordsPerMicrosecond = 4000;
    const double words = static_cast<double>(panels * kernels::panelWidth * rows / packed.rowsPerWord());
    parallelFor(threadsWorth(threads, words / wordsPerMicrosecond), packed.blocksIn(rows), [&](std::size_t block) {
        for (std::size_t panel = 0; panel < panels; ++panel) {
            packed.run(block, panel) = kernel.sums(packed.panel(block, panel), packed.groupsIn(block, rows),
                                                   packed.sums(block, panel), packed.squares(block, panel));
        }
    });
}

void multiplyRows(std::span<const RowProduct> products, std::size_t rows, const kernels::IntegerDot& kernel,
                  unsigned threads, const Beside& beside) {
    if (products.empty()) return;
    const std::size_t panels = products.front().a->panels();
    constexpr double tileRowsPerMicrosecond = 100;  // of 1024 multiplications each
    threads =
        threadsWorth(threads, static_cast<double>(products.size() * panels * panels * rows) / tileRowsPerMicrosecond);
    const std::size_t edge = edgeFor(panels, threads);
    std::vector<Task> tasks;
    for (const RowProduct& product : products) {
        for (std::size_t a = 0; a < panels; a += edge) {
            const std::size_t end = product.out->shape() == TileSums::Shape::lower ? a + 1 : panels;
            for (std::size_t b = 0; b < end; b += edge) tasks.push_back({&product, a, b});
        }
    }
    parallelFor(
        threads, tasks.size(), [&](std::size_t task) { run(tasks[task], edge, rows, kernel); }, beside);
}

}  // namespace regauge

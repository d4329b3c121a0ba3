// Adding rows: each is checked, quantised and packed as it is read; packed rows are multiplied when there are enough of them.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "correlation_state.hpp"
#include "kernels/quantize.hpp"
#include "multiply_rows.hpp"
#include "parallel.hpp"
#include "regauge/error.hpp"
#include "rows.hpp"

namespace regauge {
namespace {

// What may wait on one side. The more, the fewer passes over the sums; both sides together stay well inside a third-level cache.
constexpr std::size_t waitingBytes = std::size_t{8} << 20;
constexpr std::size_t mostWaitingRows = 8192;

constexpr std::size_t groupsPerTask = 16;

std::size_t waitingRows(std::size_t d, std::size_t rowsPerWord) {
    const std::size_t rowsPerBlock = PackedRows::groupsPerBlock * rowsPerWord;
    const std::size_t bytesPerBlock = std::max<std::size_t>(1, kernels::panelsOf(d)) * PackedRows::panelWords * sizeof(std::uint32_t);
    return std::clamp<std::size_t>(waitingBytes / bytesPerBlock, 1, mostWaitingRows / rowsPerBlock) * rowsPerBlock;
}

// Tells massive rows and rows with NaN or infinity from the rest: by a fast sum of squares where that is clear, exactly where it is not.
class RowGuard {
public:
    RowGuard(const RowsView& rows, double limit, const kernels::Quantize& kernel) : rows_(rows), limit_(limit), kernel_(kernel), row_(rows.d) {
        if (limit > 0) {
            const int exponent = std::clamp(std::ilogb(limit), -126, 126);
            scale_ = std::ldexp(1.0f, -exponent);
            const double scaled = std::ldexp(limit, -exponent);
            clearlyBelow_ = static_cast<float>(0.99 * scaled * scaled);  // the fast sum is right within 0.1 %
        }
    }

    enum class Finding { ordinary, massive, notFinite };
    Finding examine(std::size_t row) {
        const float fast = kernel_.sumOfSquares(rowData(rows_, row), rows_.dtype, rows_.d, scale_);
        if (fast < clearlyBelow_) return Finding::ordinary;
        loadRow(rows_, row, row_);
        if (firstNotFinite(row_)) return Finding::notFinite;
        return limit_ > 0 && rowNorm(row_) > limit_ ? Finding::massive : Finding::ordinary;
    }

private:
    RowsView rows_;
    double limit_;
    const kernels::Quantize& kernel_;
    std::vector<float> row_;
    float scale_ = 1;
    float clearlyBelow_ = std::numeric_limits<float>::max();
};

[[noreturn]] void reportNotFinite(const RowsView& x, const RowsView& y, std::size_t row, std::uint64_t firstRow, const std::string& whereX,
                                  const std::string& whereY) {
    std::vector<float> values(x.d);
    loadRow(x, row, values);
    if (const auto column = firstNotFinite(values)) throwNotFinite(whereX, firstRow + row, *column, values[*column]);
    loadRow(y, row, values);
    const std::size_t column = firstNotFinite(values).value_or(0);
    throwNotFinite(whereY, firstRow + row, column, values[column]);
}

// What one task found.
struct PackReport {
    std::uint64_t massive = 0;
    std::size_t notFinite = std::numeric_limits<std::size_t>::max();  // the first such row
};

void requirePaired(const RowsView& x, const RowsView& y, std::size_t d, std::span<const std::uint8_t> skip, const std::string& whereX,
                   const std::string& whereY) {
    requireFloatRows(x, whereX);
    requireFloatRows(y, whereY);
    const auto requireWidth = [d](const RowsView& rows, const std::string& where) {
        if (rows.d != d) {
            throw Error(ErrorCode::shapeMismatch, where, "expected rows of " + std::to_string(d) + " channels, found " + std::to_string(rows.d));
        }
    };
    requireWidth(x, whereX);
    requireWidth(y, whereY);
    if (x.rows != y.rows) {
        throw Error(ErrorCode::shapeMismatch, whereY, "expected " + std::to_string(x.rows) + " rows, as on the other side, found " + std::to_string(y.rows));
    }
    if (!skip.empty() && skip.size() != x.rows) {
        throw Error(ErrorCode::shapeMismatch, whereX, "expected " + std::to_string(x.rows) + " flags of rows to skip, found " + std::to_string(skip.size()));
    }
}

}  // namespace

void CorrelationSums::State::flush() {
    if (waiting == 0) return;
    const kernels::IntegerDot kernel = kernels::integerDot(isa);
    std::vector<RowProduct> products{{&*y.packed, &*x.packed, &cross}};
    if (withGram) {
        products.push_back({&*x.packed, &*x.packed, &x.gram});
        products.push_back({&*y.packed, &*y.packed, &y.gram});
    }
    for (const RowProduct& product : products) product.out->makeRoomFor(rows);
    for (CorrelationSide* side : {&x, &y}) {
        PackedRows& packed = *side->packed;
        sumChannels(packed, waiting, kernel, threads);
        for (std::size_t block = 0; block < packed.blocksIn(waiting); ++block) {
            for (std::size_t j = 0; j < side->sums.size(); ++j) {
                side->sums[j] += packed.sums(block, 0)[j];
                side->squares[j] += packed.squares(block, 0)[j];
            }
        }
    }
    multiplyRows(products, waiting, kernel, threads);
    waiting = 0;
}

void CorrelationSums::State::settle() {
    const std::lock_guard lock(settling);
    flush();
    x.packed.reset();
    y.packed.reset();
}

void CorrelationSums::add(const RowsView& rowsX, const RowsView& rowsY, std::uint64_t firstRow, const std::string& whereX, const std::string& whereY,
                          std::span<const std::uint8_t> skip, unsigned threads) {
    State& state = *state_;
    requirePaired(rowsX, rowsY, state.d, skip, whereX, whereY);
    if (state.d == 0) return;

    std::vector<std::size_t> taken;  // the rows that are not skipped
    taken.reserve(rowsX.rows);
    for (std::size_t row = 0; row < rowsX.rows; ++row) {
        if (skip.empty() || skip[row] == 0) taken.push_back(row);
    }

    const kernels::Isa isa = kernels::activeIsa();
    state.threads = std::max(threads, 1u);
    if (state.isa != isa || !state.x.packed) {
        state.settle();
        state.isa = isa;
        const std::size_t rowsPerWord = kernels::integerDot(isa).rowsPerWord;
        const std::size_t room = waitingRows(state.d, rowsPerWord);
        state.x.packed.emplace(state.d, room, rowsPerWord);
        state.y.packed.emplace(state.d, room, rowsPerWord);
    }
    PackedRows& packedX = *state.x.packed;
    PackedRows& packedY = *state.y.packed;
    const std::size_t rowsPerWord = packedX.rowsPerWord();
    const kernels::Quantize kernel = kernels::quantize(isa);

    for (std::size_t done = 0; done < taken.size();) {
        const std::size_t count = std::min(taken.size() - done, packedX.capacity() - state.waiting);
        const std::size_t groups = (count + rowsPerWord - 1) / rowsPerWord;
        std::vector<PackReport> reports((groups + groupsPerTask - 1) / groupsPerTask);
        constexpr double elementsPerMicrosecond = 3000;
        const double elements = static_cast<double>(2 * count * state.d);
        parallelFor(threadsWorth(state.threads, elements / elementsPerMicrosecond), reports.size(), [&](std::size_t task) {
            PackReport& report = reports[task];
            RowGuard guardX(rowsX, state.x.quantizer.rowLimit, kernel);
            RowGuard guardY(rowsY, state.y.quantizer.rowLimit, kernel);
            const std::size_t end = std::min((task + 1) * groupsPerTask, groups);
            for (std::size_t group = task * groupsPerTask; group < end; ++group) {
                std::array<const std::byte*, 4> x{};
                std::array<const std::byte*, 4> y{};
                for (std::size_t k = 0; k < std::min(rowsPerWord, count - group * rowsPerWord); ++k) {
                    const std::size_t row = taken[done + group * rowsPerWord + k];
                    const RowGuard::Finding findings[] = {guardX.examine(row), guardY.examine(row)};
                    const auto found = [&](RowGuard::Finding finding) { return findings[0] == finding || findings[1] == finding; };
                    if (found(RowGuard::Finding::notFinite)) {
                        report.notFinite = row;
                        return;
                    }
                    if (found(RowGuard::Finding::massive)) {
                        ++report.massive;
                        continue;  // zeros on both sides
                    }
                    x[k] = rowData(rowsX, row);
                    y[k] = rowData(rowsY, row);
                }
                const std::size_t at = state.waiting + group * rowsPerWord;
                kernel.pack(x.data(), rowsPerWord, rowsX.dtype, state.x.centre.data(), state.x.inverseStep.data(), state.d, packedX.group(at),
                            PackedRows::panelWords);
                kernel.pack(y.data(), rowsPerWord, rowsY.dtype, state.y.centre.data(), state.y.inverseStep.data(), state.d, packedY.group(at),
                            PackedRows::panelWords);
            }
        });
        std::uint64_t massive = 0;
        for (const PackReport& report : reports) {  // in the order of the rows: the first is named, whichever thread met it
            if (report.notFinite != std::numeric_limits<std::size_t>::max()) reportNotFinite(rowsX, rowsY, report.notFinite, firstRow, whereX, whereY);
            massive += report.massive;
        }
        state.rows += count - massive;
        state.setAside += massive;
        state.waiting += groups * rowsPerWord;
        done += count;
        if (state.waiting == packedX.capacity()) state.flush();
    }
}

}  // namespace regauge

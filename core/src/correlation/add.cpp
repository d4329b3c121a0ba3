// Adding rows: each is checked, quantised and packed as it is read; packed rows are multiplied when there are enough of
// them.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/parallel.hpp"
#include "correlation/float_rows.hpp"
#include "correlation/halves.hpp"
#include "correlation/multiply_rows.hpp"
#include "correlation/state.hpp"
#include "kernels/quantize.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// What may wait on one side of one half. The more, the fewer passes over the sums; both sides together stay well inside
// a third-level cache.
constexpr std::size_t waitingBytes = std::size_t{8} << 20;
constexpr std::size_t mostWaitingRows = 8192;

constexpr std::size_t groupsPerTask = 16;

constexpr int massiveBits = 20;  // massive rows are summed in steps of rowLimit / 2^20

std::size_t waitingRows(std::size_t d, std::size_t rowsPerWord) {
    const std::size_t rowsPerBlock = PackedRows::groupsPerBlock * rowsPerWord;
    const std::size_t bytesPerBlock =
        std::max<std::size_t>(1, kernels::panelsOf(d)) * PackedRows::panelWords * sizeof(std::uint32_t);
    return std::clamp<std::size_t>(waitingBytes / bytesPerBlock, 1, mostWaitingRows / rowsPerBlock) * rowsPerBlock;
}

// Of the largest power of two in a limit of norms, kept where it and its inverse are ordinary floats.
int exponentOf(double limit) { return limit > 0 ? std::clamp(std::ilogb(limit), -126, 126) : 0; }

// Tells massive rows and rows with NaN or infinity from the rest: by a fast sum of squares where that is clear, exactly
// where it is not.
class RowGuard {
public:
    RowGuard(const RowsView& rows, double limit, const kernels::Quantize& kernel)
        : rows_(rows), limit_(limit), kernel_(kernel), row_(rows.d) {
        if (limit > 0) {
            const int exponent = exponentOf(limit);
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

[[noreturn]] void reportNotFinite(const RowsView& x, const RowsView& y, std::size_t row, std::uint64_t firstRow,
                                  const std::string& whereX, const std::string& whereY) {
    std::vector<float> values(x.d);
    loadRow(x, row, values);
    if (const auto column = firstNotFinite(values)) throwNotFinite(whereX, firstRow + row, *column, values[*column]);
    loadRow(y, row, values);
    const std::size_t column = firstNotFinite(values).value_or(0);
    throwNotFinite(whereY, firstRow + row, column, values[column]);
}

// What one task found.
struct PackReport {
    std::vector<std::size_t> massive;
    std::optional<std::size_t> notFinite;  // the first such row
};

void requirePaired(const RowsView& x, const RowsView& y, std::size_t d, std::span<const std::uint8_t> skip,
                   const std::string& whereX, const std::string& whereY) {
    requireFloatRows(x, whereX);
    requireFloatRows(y, whereY);
    const auto requireWidth = [d](const RowsView& rows, const std::string& where) {
        if (rows.d != d) {
            throw Error(ErrorCode::shapeMismatch, where,
                        "expected rows of " + std::to_string(d) + " channels, found " + std::to_string(rows.d));
        }
    };
    requireWidth(x, whereX);
    requireWidth(y, whereY);
    if (x.rows != y.rows) {
        throw Error(
            ErrorCode::shapeMismatch, whereY,
            "expected " + std::to_string(x.rows) + " rows, as on the other side, found " + std::to_string(y.rows));
    }
    if (!skip.empty() && skip.size() != x.rows) {
        throw Error(
            ErrorCode::shapeMismatch, whereX,
            "expected " + std::to_string(x.rows) + " flags of rows to skip, found " + std::to_string(skip.size()));
    }
}

}  // namespace

void CorrelationSums::State::sumMassive(const RowsView& rowsX, const RowsView& rowsY, std::size_t row) {
    std::vector<float> values(d);
    for (const auto& [side, rows] : {std::pair{&x, &rowsX}, std::pair{&y, &rowsY}}) {
        loadRow(*rows, row, values);
        const double stepsToOne = std::ldexp(1.0, massiveBits - exponentOf(side->quantizer.rowLimit));
        constexpr double most = CorrelationSums::mostMassive;
        for (std::size_t j = 0; j < d; ++j)
            side->massive[j] += static_cast<std::int64_t>(
                std::nearbyint(std::clamp(static_cast<double>(values[j]) * stepsToOne, -most, most)));
    }
}

void CorrelationSums::State::flush(std::size_t k, const Beside& beside) {
    CorrelationHalf& here = half[k];
    if (here.waiting == 0) return;
    const kernels::IntegerDot kernel = kernels::integerDot(isa, limit);
    std::vector<RowProduct> products{{&*here.waitingY, &*here.waitingX, &here.cross}};
    here.cross.makeRoomFor(here.rows, threads);
    if (withGram) {
        products.push_back({&*here.waitingX, &*here.waitingX, &x.gram});
        products.push_back({&*here.waitingY, &*here.waitingY, &y.gram});
        for (CorrelationSide* side : {&x, &y}) side->gram.makeRoomFor(rows(), threads);
    }
    for (const auto& [side, packed] : {std::pair{&x, &*here.waitingX}, std::pair{&y, &*here.waitingY}}) {
        sumChannels(*packed, here.waiting, kernel, threads);
        ChannelSums& sums = side->half[k];
        for (std::size_t block = 0; block < packed->blocksIn(here.waiting); ++block) {
            for (std::size_t j = 0; j < sums.sums.size(); ++j) {
                sums.sums[j] += packed->sums(block, 0)[j];
                sums.squares[j] += packed->squares(block, 0)[j];
            }
        }
    }
    multiplyRows(products, here.waiting, kernel, threads, beside);
    here.waiting = 0;
}

void CorrelationSums::State::settle(const Beside& beside) {
    const std::lock_guard lock(settling);
    for (std::size_t k = 0; k < 2; ++k) {
        flush(k, beside);
        half[k].cross.makeRoomFor(half[k].rows, threads);
        half[k].waitingX.reset();
        half[k].waitingY.reset();
    }
    for (CorrelationSide* side : {&x, &y}) side->gram.makeRoomFor(rows(), threads);
}

std::optional<std::size_t> CorrelationSums::State::addTo(std::size_t k, std::span<const std::size_t> taken,
                                                         const RowsView& rowsX, const RowsView& rowsY,
                                                         const Beside& beside) {
    CorrelationHalf& here = half[k];
    const std::size_t rowsPerWord = kernels::integerDot(isa, limit).rowsPerWord;
    if (!here.waitingX && !taken.empty()) {
        const std::size_t room = waitingRows(d, rowsPerWord);
        here.waitingX.emplace(d, room, rowsPerWord);
        here.waitingY.emplace(d, room, rowsPerWord);
    }
    const kernels::Quantize kernel = kernels::quantize(isa);
    while (!taken.empty()) {
        const std::size_t count = std::min(taken.size(), here.waitingX->capacity() - here.waiting);
        const std::size_t groups = (count + rowsPerWord - 1) / rowsPerWord;
        std::vector<PackReport> reports((groups + groupsPerTask - 1) / groupsPerTask);
        constexpr double elementsPerMicrosecond = 3000;
        const double elements = static_cast<double>(2 * count * d);
        parallelFor(
            threadsWorth(threads, elements / elementsPerMicrosecond), reports.size(),
            [&](std::size_t task) {
                PackReport& report = reports[task];
                RowGuard guardX(rowsX, x.quantizer.rowLimit, kernel);
                RowGuard guardY(rowsY, y.quantizer.rowLimit, kernel);
                const std::size_t end = std::min((task + 1) * groupsPerTask, groups);
                for (std::size_t group = task * groupsPerTask; group < end; ++group) {
                    std::array<const std::byte*, 4> fromX{};
                    std::array<const std::byte*, 4> fromY{};
                    for (std::size_t i = 0; i < std::min(rowsPerWord, count - group * rowsPerWord); ++i) {
                        const std::size_t row = taken[group * rowsPerWord + i];
                        const RowGuard::Finding findings[] = {guardX.examine(row), guardY.examine(row)};
                        const auto found = [&](RowGuard::Finding finding) {
                            return findings[0] == finding || findings[1] == finding;
                        };
                        if (found(RowGuard::Finding::notFinite)) {
                            report.notFinite = row;
                            return;
                        }
                        if (found(RowGuard::Finding::massive)) {
                            report.massive.push_back(row);
                            continue;  // zeros on both sides
                        }
                        fromX[i] = rowData(rowsX, row);
                        fromY[i] = rowData(rowsY, row);
                    }
                    const std::size_t at = here.waiting + group * rowsPerWord;
                    const auto pack = [&](const auto& from, Dtype dtype, const CorrelationSide& side, PackedRows& to) {
                        kernel.pack(from.data(), rowsPerWord, dtype, side.centre.data(), side.inverseStep.data(), limit,
                                    d, to.group(at), PackedRows::panelWords);
                    };
                    pack(fromX, rowsX.dtype, x, *here.waitingX);
                    pack(fromY, rowsY.dtype, y, *here.waitingY);
                }
            },
            beside);
        for (const PackReport& report :
             reports)  // in the order of the rows: the first is named, whichever thread met it
            if (report.notFinite) return report.notFinite;
        here.rows += count;
        for (const PackReport& report : reports) {
            for (const std::size_t row : report.massive) sumMassive(rowsX, rowsY, row);
            here.rows -= report.massive.size();
            setAside += report.massive.size();
        }
        here.waiting += groups * rowsPerWord;
        taken = taken.subspan(count);
        if (here.waiting == here.waitingX->capacity()) flush(k, beside);
    }
    return std::nullopt;
}

void CorrelationSums::add(const RowsView& rowsX, const RowsView& rowsY, std::uint64_t firstRow,
                          const std::string& whereX, const std::string& whereY, std::span<const std::uint8_t> skip,
                          unsigned threads, const Beside& beside) {
    State& state = *state_;
    requirePaired(rowsX, rowsY, state.d, skip, whereX, whereY);
    if (state.d == 0) return;

    std::array<std::vector<std::size_t>, 2> taken;  // the rows that are not skipped, by half
    for (std::size_t row = 0; row < rowsX.rows; ++row) {
        if (skip.empty() || skip[row] == 0) taken[halfOf(firstRow + row)].push_back(row);
    }
    state.threads = std::max(threads, 1u);
    if (const kernels::Isa isa = kernels::activeIsa(); state.isa != isa) {
        state.settle();
        state.isa = isa;
    }
    std::optional<std::size_t> notFinite;
    for (std::size_t k = 0; k < 2; ++k) {
        const auto found = state.addTo(k, taken[k], rowsX, rowsY, beside);
        if (found) notFinite = std::min(*found, notFinite.value_or(*found));
    }
    if (notFinite) reportNotFinite(rowsX, rowsY, *notFinite, firstRow, whereX, whereY);
}

void CorrelationSums::settle(const Beside& beside) { state_->settle(beside); }

}  // namespace regauge

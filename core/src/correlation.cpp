// CorrelationSums: life, merging and answers. Adding rows is in correlation_add.cpp, the byte image in correlation_image.cpp.
#include "regauge/correlation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "correlation_state.hpp"
#include "kernels/pearson.hpp"
#include "parallel.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

__extension__ using Int128 = __int128;

using kernels::panelWidth;
using kernels::tileSize;

bool sameQuantizer(const Quantizer& a, const Quantizer& b) { return a.centre == b.centre && a.step == b.step && a.rowLimit == b.rowLimit; }

// The variances of the integers, n^2 times: n sum q^2 - (sum q)^2, exact, then one rounding.
kernels::AlignedVector<double> variances(const CorrelationSide& side, std::uint64_t n) {
    kernels::AlignedVector<double> result(side.sums.size());
    for (std::size_t j = 0; j < result.size(); ++j) {
        result[j] = static_cast<double>(static_cast<Int128>(n) * side.squares[j] - static_cast<Int128>(side.sums[j]) * side.sums[j]);
    }
    return result;
}

// A side as the edge of every tile wants it.
struct Edge {
    Edge(const CorrelationSide& side, std::uint64_t n)
        : integers(side.sums), sums(side.sums.begin(), side.sums.end()), variances(regauge::variances(side, n)) {}
    kernels::PearsonEdge at(std::size_t panel) const { return {sums.data() + panel * panelWidth, variances.data() + panel * panelWidth}; }

    const std::vector<std::int64_t>& integers;
    kernels::AlignedVector<double> sums;
    kernels::AlignedVector<double> variances;
};

// The same as kernels::pearsonTile past 2^18 rows, where integers outgrow a double.
void widePearsonTile(const std::int64_t* products, std::uint64_t n, const Edge& rows, std::size_t rowPanel, const Edge& columns, std::size_t columnPanel,
                     double* r) {
    for (std::size_t i = 0; i < panelWidth; ++i) {
        const std::size_t row = rowPanel * panelWidth + i;
        for (std::size_t j = 0; j < panelWidth; ++j) {
            const std::size_t column = columnPanel * panelWidth + j;
            const Int128 covariance =
                static_cast<Int128>(n) * products[i * panelWidth + j] - static_cast<Int128>(rows.integers[row]) * columns.integers[column];
            const double variance = rows.variances[row] * columns.variances[column];
            r[i * panelWidth + j] = variance > 0 ? static_cast<double>(covariance) / std::sqrt(variance) : 0.0;
        }
    }
}

// Writes a 32 x 32 tile to its place in a d x d matrix, cut at the edges.
template <class T>
void writeTile(const double* r, std::size_t rowPanel, std::size_t columnPanel, std::size_t d, std::span<T> out) {
    const std::size_t rows = std::min(panelWidth, d - rowPanel * panelWidth);
    const std::size_t columns = std::min(panelWidth, d - columnPanel * panelWidth);
    for (std::size_t i = 0; i < rows; ++i) {
        T* to = out.data() + (rowPanel * panelWidth + i) * d + columnPanel * panelWidth;
        for (std::size_t j = 0; j < columns; ++j) to[j] = static_cast<T>(r[i * panelWidth + j]);
    }
}

void transposeTile(double* r) {
    for (std::size_t i = 0; i < panelWidth; ++i) {
        for (std::size_t j = 0; j < i; ++j) std::swap(r[i * panelWidth + j], r[j * panelWidth + i]);
    }
}

template <class T>
void correlations(const TileSums& sums, const CorrelationSide& rowSide, const CorrelationSide& columnSide, std::uint64_t n, unsigned threads,
                  std::size_t d, std::span<T> out) {
    if (out.size() != d * d) {
        throw Error(ErrorCode::shapeMismatch, "", "expected room for " + std::to_string(d * d) + " correlations, found " + std::to_string(out.size()));
    }
    static_assert(TileSums::narrowRows < (1u << 18), "narrow sums are what pearsonTile can take");
    const bool lower = sums.shape() == TileSums::Shape::lower;
    const Edge rows(rowSide, n);
    const Edge columns(columnSide, n);
    const kernels::PearsonTile kernel = kernels::pearsonTile(kernels::activeIsa());
    constexpr double entriesPerMicrosecond = 500;
    parallelFor(threadsWorth(threads, static_cast<double>(d * d) / entriesPerMicrosecond), sums.panels(), [&](std::size_t i) {
        alignas(kernels::cacheLine) double r[tileSize];
        for (std::size_t j = 0; j < (lower ? i + 1 : sums.panels()); ++j) {
            const std::size_t index = sums.tileIndex(i, j);
            if (sums.wide()) {
                widePearsonTile(sums.wideTile(index), n, rows, i, columns, j, r);
            } else {
                kernel(sums.narrowTile(index), static_cast<double>(n), rows.at(i), columns.at(j), r);
            }
            if (lower && i == j) {
                for (std::size_t k = 0; k < panelWidth; ++k) r[k * panelWidth + k] = 1;  // of a constant channel too
            }
            writeTile(r, i, j, d, out);
            if (lower && i != j) {
                transposeTile(r);
                writeTile(r, j, i, d, out);
            }
        }
    });
}

std::vector<std::uint8_t> constantChannels(const CorrelationSide& side, std::uint64_t n) {
    const auto variance = variances(side, n);
    std::vector<std::uint8_t> constant(side.quantizer.d());
    for (std::size_t j = 0; j < constant.size(); ++j) constant[j] = variance[j] > 0 ? 0 : 1;
    return constant;
}

template <class T>
void gram(const CorrelationSums& sums, const CorrelationSide& side, unsigned threads, std::span<T> out) {
    if (!sums.withGram()) throw Error(ErrorCode::usage, "", "these sums were begun without Gram matrices; begin them with withGram");
    correlations(side.gram, side, side, sums.rows(), threads, sums.d(), out);
}

void addTo(std::vector<std::int64_t>& sums, const std::vector<std::int64_t>& more) {
    for (std::size_t j = 0; j < sums.size(); ++j) sums[j] += more[j];
}

}  // namespace

CorrelationSide::CorrelationSide(Quantizer given, bool withGram)
    : quantizer(std::move(given)), gram(withGram ? quantizer.d() : 0, TileSums::Shape::lower) {
    const std::size_t padded = kernels::panelsOf(quantizer.d()) * panelWidth;
    centre.resize(padded);
    inverseStep.resize(padded);
    sums.resize(padded);
    squares.resize(padded);
    for (std::size_t j = 0; j < quantizer.d(); ++j) {
        const float step = quantizer.step[j];
        int exponent = 0;
        if (step != 0 && (!(step > 0) || std::frexp(step, &exponent) != 0.5f || !std::isnormal(step) || !std::isfinite(1 / step))) {
            throw Error(ErrorCode::usage, "", "a quantizer's steps must be powers of two from 2^-126 to 2^126, or 0; found " + std::to_string(step));
        }
        if (!std::isfinite(quantizer.centre[j])) throw Error(ErrorCode::usage, "", "a quantizer's centres must be finite");
        // A constant channel: (x - 0) * 0 is 0 for every finite x.
        centre[j] = step == 0 ? 0 : quantizer.centre[j];
        inverseStep[j] = step == 0 ? 0 : 1 / step;
    }
}

CorrelationSums::State::State(Quantizer givenX, Quantizer givenY, bool gram)
    : d(givenX.d()), withGram(gram), x(std::move(givenX), gram), y(std::move(givenY), gram), cross(d, TileSums::Shape::full) {
    const auto whole = [](const Quantizer& quantizer) { return quantizer.step.size() == quantizer.d() && quantizer.rowLimit >= 0; };
    if (y.quantizer.d() != d || !whole(x.quantizer) || !whole(y.quantizer)) {
        throw Error(ErrorCode::shapeMismatch, "",
                    "the quantizers must have one d and a step for every channel; found d = " + std::to_string(d) +
                        " and d = " + std::to_string(y.quantizer.d()));
    }
}

CorrelationSums::State::State(const State& other)
    : d(other.d), withGram(other.withGram), rows(other.rows), setAside(other.setAside), x(other.x), y(other.y), cross(other.cross), threads(other.threads) {}

CorrelationSums::CorrelationSums(Quantizer x, Quantizer y, bool withGram) : state_(std::make_unique<State>(std::move(x), std::move(y), withGram)) {}
CorrelationSums::CorrelationSums(std::unique_ptr<State> state) : state_(std::move(state)) {}
CorrelationSums::CorrelationSums(const CorrelationSums& other) : state_(std::make_unique<State>(other.settled())) {}
CorrelationSums& CorrelationSums::operator=(const CorrelationSums& other) {
    if (this != &other) state_ = std::make_unique<State>(other.settled());
    return *this;
}
CorrelationSums::CorrelationSums(CorrelationSums&&) noexcept = default;
CorrelationSums& CorrelationSums::operator=(CorrelationSums&&) noexcept = default;
CorrelationSums::~CorrelationSums() = default;

CorrelationSums::State& CorrelationSums::settled() const {
    state_->settle();
    return *state_;
}

void CorrelationSums::merge(const CorrelationSums& other) {
    State& into = settled();
    const State& from = other.settled();
    if (into.withGram != from.withGram || !sameQuantizer(into.x.quantizer, from.x.quantizer) || !sameQuantizer(into.y.quantizer, from.y.quantizer)) {
        throw Error(ErrorCode::shapeMismatch, "", "sums can be merged only when they were begun with the same quantizers and the same choice of Gram matrices");
    }
    const std::uint64_t rows = into.rows + from.rows;
    const auto add = [rows](TileSums& sums, const TileSums& more) {
        sums.makeRoomFor(rows);
        sums.add(more);
    };
    add(into.cross, from.cross);
    add(into.x.gram, from.x.gram);
    add(into.y.gram, from.y.gram);
    addTo(into.x.sums, from.x.sums);
    addTo(into.y.sums, from.y.sums);
    addTo(into.x.squares, from.x.squares);
    addTo(into.y.squares, from.y.squares);
    into.rows = rows;
    into.setAside += from.setAside;
}

std::size_t CorrelationSums::d() const { return state_->d; }
bool CorrelationSums::withGram() const { return state_->withGram; }
std::uint64_t CorrelationSums::rows() const { return state_->rows; }
std::uint64_t CorrelationSums::setAside() const { return state_->setAside; }
const Quantizer& CorrelationSums::quantizerX() const { return state_->x.quantizer; }
const Quantizer& CorrelationSums::quantizerY() const { return state_->y.quantizer; }
std::vector<std::uint8_t> CorrelationSums::constantX() const { return constantChannels(settled().x, rows()); }
std::vector<std::uint8_t> CorrelationSums::constantY() const { return constantChannels(settled().y, rows()); }

void CorrelationSums::cross(std::span<double> out) const {
    const State& state = settled();
    correlations(state.cross, state.y, state.x, state.rows, state.threads, state.d, out);
}
void CorrelationSums::cross(std::span<float> out) const {
    const State& state = settled();
    correlations(state.cross, state.y, state.x, state.rows, state.threads, state.d, out);
}
void CorrelationSums::gramX(std::span<double> out) const { gram(*this, settled().x, state_->threads, out); }
void CorrelationSums::gramY(std::span<double> out) const { gram(*this, settled().y, state_->threads, out); }
void CorrelationSums::gramX(std::span<float> out) const { gram(*this, settled().x, state_->threads, out); }
void CorrelationSums::gramY(std::span<float> out) const { gram(*this, settled().y, state_->threads, out); }

}  // namespace regauge

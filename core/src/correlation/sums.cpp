// CorrelationSums: life, merging and answers. Adding rows is in correlation_add.cpp, the byte image in
// correlation_image.cpp.
#include "regauge/correlation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>

#include "base/parallel.hpp"
#include "correlation/state.hpp"
#include "kernels/pearson.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

__extension__ using Int128 = __int128;

using kernels::panelWidth;
using kernels::tileSize;

void addTo(ChannelSums& into, const ChannelSums& more) {
    for (std::size_t j = 0; j < into.sums.size(); ++j) {
        into.sums[j] += more.sums[j];
        into.squares[j] += more.squares[j];
    }
}

ChannelSums total(const CorrelationSide& side) {
    ChannelSums sums = side.half[0];
    addTo(sums, side.half[1]);
    return sums;
}

// The variances of the integers, n^2 times: n sum q^2 - (sum q)^2, exact, then one rounding.
kernels::AlignedVector<double> variances(const ChannelSums& of, std::uint64_t n) {
    kernels::AlignedVector<double> result(of.sums.size());
    for (std::size_t j = 0; j < result.size(); ++j) {
        result[j] =
            static_cast<double>(static_cast<Int128>(n) * of.squares[j] - static_cast<Int128>(of.sums[j]) * of.sums[j]);
    }
    return result;
}

// A side as the edge of every tile wants it (kernels/pearson.hpp): `all` over all n rows, `some` over those that the
// products are of.
struct Edge {
    enum class Place { row, column };
    Edge(Place place, const ChannelSums& ofAll, const ChannelSums& ofSome, double share, std::uint64_t n)
        : all(ofAll.sums),
          some(ofSome.sums),
          sums(all.begin(), all.end()),
          part(some.begin(), some.end()),
          variances(regauge::variances(ofAll, n)) {
        if (place == Place::row)
            for (std::size_t j = 0; j < part.size(); ++j) part[j] -= share * sums[j];
    }
    kernels::PearsonEdge at(std::size_t panel) const {
        return {sums.data() + panel * panelWidth, part.data() + panel * panelWidth,
                variances.data() + panel * panelWidth};
    }

    std::vector<std::int64_t> all, some;
    kernels::AlignedVector<double> sums, part, variances;
};

// Sums of products, one TileSums or two that add up, over `rows` of n rows.
struct Products {
    std::uint64_t n;
    std::uint64_t rows;
    int limit;
    const TileSums* first;
    const TileSums* second = nullptr;

    std::int64_t at(std::size_t tile, std::size_t entry) const {
        return first->at(tile, entry) + (second == nullptr ? 0 : second->at(tile, entry));
    }
    // n times any sum stays below 2^53.
    bool exactInDoubles() const {
        const double largest = static_cast<double>(n) * limit;
        return largest * largest < 0x1p53;
    }
};

// The same as kernels::pearsonTile where integers outgrow a double.
void widePearsonTile(const Products& products, std::size_t tile, const Edge& rows, std::size_t rowPanel,
                     const Edge& columns, std::size_t columnPanel, double* r) {
    for (std::size_t i = 0; i < panelWidth; ++i) {
        const std::size_t row = rowPanel * panelWidth + i;
        for (std::size_t j = 0; j < panelWidth; ++j) {
            const std::size_t column = columnPanel * panelWidth + j;
            const Int128 n = static_cast<Int128>(products.n);
            const Int128 covariance = n * n * products.at(tile, i * panelWidth + j) -  // n times that of the kernel
                                      n * (static_cast<Int128>(rows.all[row]) * columns.some[column] +
                                           static_cast<Int128>(rows.some[row]) * columns.all[column]) +
                                      static_cast<Int128>(products.rows) * rows.all[row] * columns.all[column];
            const double variance = rows.variances[row] * columns.variances[column];
            r[i * panelWidth + j] =
                variance > 0 ? static_cast<double>(covariance) / static_cast<double>(products.n) / std::sqrt(variance)
                             : 0.0;
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
void correlations(const Products& products, const Edge& rows, const Edge& columns, unsigned threads, std::size_t d,
                  std::span<T> out) {
    if (out.size() != d * d) {
        throw Error(
            ErrorCode::shapeMismatch, "",
            "expected room for " + std::to_string(d * d) + " correlations, found " + std::to_string(out.size()));
    }
    const bool lower = products.first->shape() == TileSums::Shape::lower;
    const std::size_t panels = products.first->panels();
    const kernels::PearsonTile kernel = kernels::pearsonTile(kernels::activeIsa());
    constexpr double entriesPerMicrosecond = 500;
    parallelFor(threadsWorth(threads, static_cast<double>(d * d) / entriesPerMicrosecond), panels, [&](std::size_t i) {
        alignas(kernels::cacheLine) double r[tileSize];
        alignas(kernels::cacheLine) double sums[tileSize];
        for (std::size_t j = 0; j < (lower ? i + 1 : panels); ++j) {
            const std::size_t tile = products.first->tileIndex(i, j);
            if (products.exactInDoubles()) {
                for (std::size_t k = 0; k < tileSize; ++k) sums[k] = static_cast<double>(products.at(tile, k));
                kernel(sums, static_cast<double>(products.n), rows.at(i), columns.at(j), r);
            } else {
                widePearsonTile(products, tile, rows, i, columns, j, r);
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
    const auto variance = variances(total(side), n);
    std::vector<std::uint8_t> constant(side.quantizer.d());
    for (std::size_t j = 0; j < constant.size(); ++j) constant[j] = variance[j] > 0 ? 0 : 1;
    return constant;
}

template <class T>
void cross(const CorrelationSums::State& state, std::span<T> out) {
    const ChannelSums x = total(state.x), y = total(state.y);
    correlations({state.rows(), state.rows(), state.limit, &state.half[0].cross, &state.half[1].cross},
                 Edge(Edge::Place::row, y, y, 1, state.rows()), Edge(Edge::Place::column, x, x, 1, state.rows()),
                 state.threads, state.d, out);
}

template <class T>
void gram(const CorrelationSums::State& state, const CorrelationSide& side, std::span<T> out) {
    if (!state.withGram)
        throw Error(ErrorCode::usage, "", "these sums were begun without Gram matrices; begin them with withGram");
    const ChannelSums sums = total(side);
    correlations({state.rows(), state.rows(), state.limit, &side.gram},
                 Edge(Edge::Place::row, sums, sums, 1, state.rows()),
                 Edge(Edge::Place::column, sums, sums, 1, state.rows()), state.threads, state.d, out);
}

}  // namespace

CorrelationSide::CorrelationSide(Quantizer given, bool withGram)
    : quantizer(std::move(given)), gram(withGram ? quantizer.d() : 0, TileSums::Shape::lower, quantizer.limit) {
    const std::size_t padded = kernels::panelsOf(quantizer.d()) * panelWidth;
    massive.resize(quantizer.d());
    centre.resize(padded);
    inverseStep.resize(padded);
    for (ChannelSums& sums : half) {
        sums.sums.resize(padded);
        sums.squares.resize(padded);
    }
    for (std::size_t j = 0; j < quantizer.d(); ++j) {
        const float step = quantizer.step[j];
        int exponent = 0;
        if (step != 0 &&
            (!(step > 0) || std::frexp(step, &exponent) != 0.5f || !std::isnormal(step) || !std::isfinite(1 / step))) {
            throw Error(
                ErrorCode::usage, "",
                "a quantizer's steps must be powers of two from 2^-126 to 2^126, or 0; found " + std::to_string(step));
        }
        if (!std::isfinite(quantizer.centre[j]))
            throw Error(ErrorCode::usage, "", "a quantizer's centres must be finite");
        // A constant channel: (x - 0) * 0 is 0 for every finite x.
        centre[j] = step == 0 ? 0 : quantizer.centre[j];
        inverseStep[j] = step == 0 ? 0 : 1 / step;
    }
}

CorrelationSums::State::State(Quantizer givenX, Quantizer givenY, bool gram)
    : d(givenX.d()),
      withGram(gram),
      limit(givenX.limit),
      x(std::move(givenX), gram),
      y(std::move(givenY), gram),
      half{CorrelationHalf(d, limit), CorrelationHalf(d, limit)} {
    const auto whole = [](const Quantizer& quantizer) {
        return quantizer.step.size() == quantizer.d() && quantizer.rowLimit >= 0;
    };
    if (y.quantizer.d() != d || !whole(x.quantizer) || !whole(y.quantizer)) {
        throw Error(ErrorCode::shapeMismatch, "",
                    "the quantizers must have one d and a step for every channel; found d = " + std::to_string(d) +
                        " and d = " + std::to_string(y.quantizer.d()));
    }
    if (!kernels::isLimit(limit) || y.quantizer.limit != limit) {
        throw Error(ErrorCode::usage, "",
                    "both quantizers must have the limit 63, or both 511 (or both 127, as earlier files do); found " +
                        std::to_string(limit) + " and " + std::to_string(y.quantizer.limit));
    }
}

CorrelationSums::State::State(const State& other)
    : d(other.d),
      withGram(other.withGram),
      limit(other.limit),
      setAside(other.setAside),
      x(other.x),
      y(other.y),
      half(other.half),
      threads(other.threads) {}

CorrelationSums::CorrelationSums(Quantizer x, Quantizer y, bool withGram)
    : state_(std::make_unique<State>(std::move(x), std::move(y), withGram)) {}
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
    if (into.withGram != from.withGram || quantizers() != other.quantizers()) {
        throw Error(ErrorCode::shapeMismatch, "",
                    "sums can be merged only when they were begun with the same quantizers and the same choice of Gram "
                    "matrices");
    }
    if (into.rows() + from.rows() > mostRows || into.setAside + from.setAside > mostRows)
        throw Error(ErrorCode::tooLarge, "", "these are more than 2^32 rows together; merge fewer of them");
    const auto add = [&](TileSums& sums, const TileSums& more, std::uint64_t rows) {
        sums.makeRoomFor(rows, into.threads);
        sums.add(more);
    };
    for (std::size_t k = 0; k < 2; ++k) {
        into.half[k].rows += from.half[k].rows;
        add(into.half[k].cross, from.half[k].cross, into.half[k].rows);
        addTo(into.x.half[k], from.x.half[k]);
        addTo(into.y.half[k], from.y.half[k]);
    }
    add(into.x.gram, from.x.gram, into.rows());
    add(into.y.gram, from.y.gram, into.rows());
    into.setAside += from.setAside;
    for (const auto& [sums, more] :
         {std::pair{&into.x.massive, &from.x.massive}, std::pair{&into.y.massive, &from.y.massive}})
        std::ranges::transform(*sums, *more, sums->begin(), std::plus{});
}

void CorrelationSums::reduce(const std::function<void(std::span<std::int64_t>)>& sumAtFirst) {
    State& state = settled();
    std::array<std::uint64_t*, 3> counts{&state.half[0].rows, &state.half[1].rows, &state.setAside};
    std::array<std::int64_t, counts.size()> totals{};
    std::ranges::transform(counts, totals.begin(),
                           [](const std::uint64_t* count) { return static_cast<std::int64_t>(*count); });
    sumAtFirst(totals);
    for (std::size_t k = 0; k < counts.size(); ++k) *counts[k] = static_cast<std::uint64_t>(totals[k]);
    for (CorrelationSide* side : {&state.x, &state.y}) {
        for (ChannelSums& half : side->half) {
            sumAtFirst(half.sums);
            sumAtFirst(half.squares);
        }
        sumAtFirst(side->massive);
        side->gram.makeRoomFor(state.rows(), state.threads);
        side->gram.replace(sumAtFirst);
    }
    for (CorrelationHalf& half : state.half) {
        half.cross.makeRoomFor(half.rows, state.threads);
        half.cross.replace(sumAtFirst);
    }
}

std::size_t CorrelationSums::d() const { return state_->d; }
bool CorrelationSums::withGram() const { return state_->withGram; }
std::uint64_t CorrelationSums::rows() const { return state_->rows(); }
std::uint64_t CorrelationSums::rows(std::size_t half) const { return state_->half[half].rows; }
std::uint64_t CorrelationSums::setAside() const { return state_->setAside; }
const std::vector<std::int64_t>& CorrelationSums::massiveX() const { return state_->x.massive; }
const std::vector<std::int64_t>& CorrelationSums::massiveY() const { return state_->y.massive; }
const Quantizer& CorrelationSums::quantizerX() const { return state_->x.quantizer; }
const Quantizer& CorrelationSums::quantizerY() const { return state_->y.quantizer; }
std::vector<std::uint8_t> CorrelationSums::constantX() const { return constantChannels(settled().x, rows()); }
std::vector<std::uint8_t> CorrelationSums::constantY() const { return constantChannels(settled().y, rows()); }

void CorrelationSums::cross(std::span<double> out) const { regauge::cross(settled(), out); }
void CorrelationSums::cross(std::span<float> out) const { regauge::cross(settled(), out); }
void CorrelationSums::crossOfHalf(std::size_t half, std::span<float> out) const {
    const State& state = settled();
    const std::uint64_t n = state.rows(), here = state.half[half].rows;
    const double share = n == 0 ? 0 : static_cast<double>(here) / static_cast<double>(n);
    correlations({n, here, state.limit, &state.half[half].cross},
                 Edge(Edge::Place::row, total(state.y), state.y.half[half], share, n),
                 Edge(Edge::Place::column, total(state.x), state.x.half[half], share, n), state.threads, state.d, out);
}
void CorrelationSums::gramX(std::span<double> out) const { gram(settled(), state_->x, out); }
void CorrelationSums::gramY(std::span<double> out) const { gram(settled(), state_->y, out); }
void CorrelationSums::gramX(std::span<float> out) const { gram(settled(), state_->x, out); }
void CorrelationSums::gramY(std::span<float> out) const { gram(settled(), state_->y, out); }

}  // namespace regauge

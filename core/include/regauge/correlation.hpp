// Correlation between the channels of two models over paired rows, in exact integers: the same bits whatever the
// instruction set, the thread count, the order of the shards or the machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/progress.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

// Rows of a float tensor as they lie in the file: row-major, little-endian, no converted copy.
struct RowsView {
    const std::byte* data = nullptr;
    Dtype dtype = Dtype::F32;  // F16, BF16, F32 or F64
    std::size_t rows = 0;
    std::size_t d = 0;
};

// Coarse: 7 bits, twice as fast where the machine multiplies bytes, and enough for plain correlation and for weak
// whitening. Fine: 10 bits, for strong whitening, which looks at directions of little variance that coarse steps drown.
enum class Resolution { coarse, fine };
int limitOf(Resolution resolution);  // 63, 511

// Maps one side's rows to integers in [-limit, limit], channel by channel: q = clamp(roundToNearestEven((x - centre) /
// step)).
// step is a power of two, so a channel's sign flip flips q exactly and nothing else: the quantizer commutes with every
// gauge.
// Rows whose norm exceeds rowLimit (BOS, attention sinks) are massive: they are set aside whole, on both sides, and
// only summed.
struct Quantizer {
    std::vector<float> centre;  // [d]
    std::vector<float> step;    // [d], powers of two; 0 for a constant channel
    double rowLimit = 0;        // Euclidean norm of a row; 0: no limit
    int limit = 63;             // 63 or 511; 127 in earlier files
    std::size_t d() const { return centre.size(); }
    bool operator==(const Quantizer&) const = default;
};

// Those of a source and a target.
struct QuantizerPair {
    Quantizer x, y;
    bool operator==(const QuantizerPair&) const = default;
};

// Fits a quantizer to rows of a site (to 2048 of them at even distances, where there are more): centre = mean, `limit`
// steps = 4 to 8 standard deviations, rows with a norm beyond 8 times the upper quartile left out. A channel that never
// changes in these rows gets step 0.
// Throws Error(notFinite) with row and column, Error(wrongDtype).
Quantizer fitQuantizer(const RowsView& rows, const std::string& where, Resolution resolution = Resolution::coarse);

// Integer sums over paired rows of a source (x) and a target (y) of the same d, in two halves of the rows: what both
// halves say on their own is no accident of a few rows. A row's half follows from its number in the file, blocks of 32
// taking turns, because neighbouring tokens resemble each other.
class CorrelationSums {
public:
    static constexpr std::uint64_t mostRows = std::uint64_t{1} << 32;  // correlations stay inside 128 bits
    static constexpr std::int64_t mostMassive =
        INT32_MAX;  // that one massive row adds to a sum: so many rows stay inside 64 bits

    // withGram: also sum the two Gram matrices, which whitening needs (over all rows). The quantizers must have one d
    // and one limit.
    CorrelationSums(Quantizer x, Quantizer y, bool withGram);

    // Adds paired rows: x.rows == y.rows. firstRow: the number of the first row in its file, for its half and for
    // messages.
    // skip: empty, or one flag a row; non-zero rows are left out (padding). threads: how many to use; the sums do not
    // depend on it.
    // Quantised rows wait until there are enough to multiply (or until an answer is asked for), so blocks of any size
    // do.
    // beside: other work of the caller's, of which each call does a step and says false where none was left; done while
    // other threads are busy.
    // Throws Error(notFinite) naming where, row and column; Error(shapeMismatch), Error(wrongDtype). After an error
    // some of these rows may have been added.
    void add(const RowsView& x, const RowsView& y, std::uint64_t firstRow, const std::string& whereX,
             const std::string& whereY, std::span<const std::uint8_t> skip = {}, unsigned threads = 1,
             const std::function<bool()>& beside = {});
    // Multiplies the rows that wait, sooner than an answer needs it.
    void settle(const std::function<bool()>& beside = {});

    // Adds another's sums. Any order gives the same result. Throws Error(shapeMismatch) where the quantizers differ.
    void merge(const CorrelationSums& other);

    std::size_t d() const;
    bool withGram() const;
    std::uint64_t rows() const;                  // rows summed
    std::uint64_t rows(std::size_t half) const;  // of half 0 or 1
    std::uint64_t setAside() const;              // massive rows, on either side: not in the correlations
    // Their sums, channel by channel, in steps of 2^-20 of that side's rowLimit (rounded down to a power of two; of 1,
    // where there is no limit). Each value is rounded to the nearest step, ties to even, and clamped to mostMassive of
    // them, so that a sign flip flips its sum exactly. All 0 where no row was massive.
    const std::vector<std::int64_t>& massiveX() const;
    const std::vector<std::int64_t>& massiveY() const;
    const Quantizer& quantizerX() const;
    const Quantizer& quantizerY() const;
    QuantizerPair quantizers() const { return {quantizerX(), quantizerY()}; }

    // Channels with no variance: nothing is known of them.
    std::vector<std::uint8_t> constantX() const;
    std::vector<std::uint8_t> constantY() const;

    // Pearson correlation of the integers, d x d row-major: out[i * d + j] = r(target channel i, source channel j), 0
    // where a channel is constant.
    // r = (n Sxy - Sx Sy) / sqrt((n Sxx - Sx^2)(n Syy - Sy^2)): integer parts exact, one rounding each to IEEE double,
    // then to the output type.
    void cross(std::span<double> out) const;
    void cross(std::span<float> out) const;
    // What one half of the rows adds to it: means and variances are those of all rows, so both halves add up to
    // cross().
    void crossOfHalf(std::size_t half, std::span<float> out) const;
    // The same of source with source, target with target; ones on the diagonal (also of a constant channel, which is 0
    // elsewhere).
    void gramX(std::span<double> out) const;
    void gramY(std::span<double> out) const;
    void gramX(std::span<float> out) const;
    void gramY(std::span<float> out) const;

    // Adds up the sums of several processes that began with the same quantizers: `sumAtFirst` replaces values by their
    // sums over all processes, in the first of them; what the others hold afterwards is of no use. Every process calls
    // it, for as many values in the same order.
    void reduce(const std::function<void(std::span<std::int64_t>)>& sumAtFirst);

    // A byte image (little-endian, versioned, checksummed) to merge elsewhere, and back from `offset` of a source.
    // Throws Error: malformed, truncated, unsupported.
    void write(ByteSink& out) const;
    static CorrelationSums read(const ByteSource& source, std::uint64_t offset, const std::string& where);
    static QuantizerPair readQuantizers(const ByteSource& source, std::uint64_t offset, const std::string& where);
    // What the first bytes of an image say; all of it lies inside the source.
    struct Image {
        std::uint64_t d = 0;
        bool withGram = false;
        bool wide = false;  // 64-bit products; 32-bit otherwise
        int limit = 0;      // of the quantizers
        std::array<std::uint64_t, 2> rowsOfHalf{};
        std::uint64_t setAside = 0;
        std::uint64_t bytes = 0;
        std::uint64_t rows() const { return rowsOfHalf[0] + rowsOfHalf[1]; }
    };
    static Image image(const ByteSource& source, std::uint64_t offset, const std::string& where);
    // The same in memory.
    std::vector<std::byte> serialize() const;
    static CorrelationSums deserialize(std::span<const std::byte> bytes, const std::string& where);

    // Copies are deep.
    CorrelationSums(const CorrelationSums& other);
    CorrelationSums& operator=(const CorrelationSums& other);
    CorrelationSums(CorrelationSums&& other) noexcept;
    CorrelationSums& operator=(CorrelationSums&& other) noexcept;
    ~CorrelationSums();

    struct State;  // private in effect: defined in core/src

private:
    explicit CorrelationSums(std::unique_ptr<State> state);
    State& settled() const;

    std::unique_ptr<State> state_;
};

}  // namespace regauge

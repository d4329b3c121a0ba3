// Exact second moments of paired rows whose two sides may differ in width: what every map is fitted on and judged by.
//
// The integers are finer than those of a correlation, because a map's entries are wanted to 1e-5 and not only which
// channel is which: 26 bits, in two digits that the integer kernels can multiply. A row's channels, x's then y's:
//
//     value = centre + step * q        q = 8191 hi + lo        hi, lo in [-4095, 4095]
//
//     packed row   [ hi of x | hi of y | lo of x | lo of y ]   whose products, summed, are the lower tiles of one
//     matrix
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "correlation/packed_rows.hpp"
#include "correlation/tile_sums.hpp"
#include "kernels/isa.hpp"
#include "pairing/site_sums.hpp"
#include "regauge/io/byte_source.hpp"

namespace regauge {

// Means, and sums of products of deviations from them, in the evidence's own units. Matrices are row-major.
struct Moments {
    std::uint64_t rows = 0;
    std::vector<double> meanX, meanY;  // [dx], [dy]
    std::vector<double> xx, yx, yy;    // [dx, dx], [dy, dx], [dy, dy]
    std::size_t dx() const { return meanX.size(); }
    std::size_t dy() const { return meanY.size(); }
};

// The same with the sides exchanged.
Moments exchanged(const Moments& moments);

// The integers of one side: a quantizer's centres and row limit, and steps so fine that `reach` of them are 32 to 64 of
// a channel's standard deviations.
class FineSteps {
public:
    // Products of digits over the 128 rows of a block (PackedRows) stay inside 32 bits.
    static constexpr int digit = 4095, base = 2 * digit + 1, reach = digit * base + digit;

    // Fitted to the rows of the sample. Throws Error(notFinite).
    FineSteps(const RowSample& sample, const std::string& where);
    // As they lie in an image. A step is a power of two, or 0 in a constant channel.
    FineSteps(double rowLimit, std::vector<double> centre, std::vector<double> step);

    std::size_t d() const { return centre_.size(); }
    double rowLimit() const { return rowLimit_; }  // Euclidean norm; 0: no limit
    const std::vector<double>& centres() const { return centre_; }
    const std::vector<double>& steps() const { return step_; }
    double centre(std::size_t j) const { return centre_[j]; }
    double step(std::size_t j) const { return step_[j]; }
    bool operator==(const FineSteps&) const = default;
    bool isMassive(std::span<const float> row) const;
    // hi and lo of each channel of a finite row.
    void quantize(std::span<const float> row, std::int16_t* hi, std::int16_t* lo) const;

private:
    std::vector<double> centre_, step_, inverse_;  // step and its inverse are powers of two, or 0 in a constant channel
    double rowLimit_ = 0;
};

// Those of a source and a target.
struct FineStepsPair {
    FineSteps x, y;
    // Fitted to all the rows of the files, whatever the share. Throws Error(notFinite).
    static FineStepsPair of(const SitePair& pair);
    bool operator==(const FineStepsPair&) const = default;
};

// Sums over paired rows, in two halves of the rows as in CorrelationSums: blocks of 32 take turns. The sums are
// integers: no thread count and no order of the rows changes them.
class JointSums {
public:
    explicit JointSums(FineStepsPair steps);

    // The rows of a pair of sites that are summed here. Throws Error: notFinite, cancelled, and what reading throws.
    static JointSums of(const SitePair& pair, FineStepsPair steps, unsigned threads, const Progress& progress);

    void add(const PairedBlock& block, const std::string& whereX, const std::string& whereY, unsigned threads,
             const Beside& beside = {});
    // Multiplies the rows that wait.
    void settle(unsigned threads);

    const FineStepsPair& quantizers() const { return steps_; }
    std::uint64_t rows() const { return half_[0].rows + half_[1].rows; }
    std::uint64_t setAside() const { return setAside_; }  // massive rows, on either side

    // Of settled sums: of half 0 or 1, or of all rows.
    Moments moments(std::size_t half, unsigned threads) const;
    Moments moments(unsigned threads) const;

    // As in CorrelationSums, of settled sums: adds another's, of the same steps (Error: tooLarge); adds up those of
    // several processes, in the first; writes and reads a byte image (joint_image.cpp; Error: malformed, truncated,
    // unsupported).
    void merge(const JointSums& other);
    void reduce(const std::function<void(std::span<std::int64_t>)>& sumAtFirst);
    void write(ByteSink& out) const;
    static JointSums read(const ByteSource& source, std::uint64_t offset, const std::string& where);
    static FineStepsPair readQuantizers(const ByteSource& source, std::uint64_t offset, const std::string& where);
    // What the first bytes of an image say; all of it lies inside the source.
    struct Image {
        std::uint64_t dx = 0, dy = 0;
        std::array<std::uint64_t, 2> rowsOfHalf{};
        std::uint64_t setAside = 0;
        std::uint64_t bytes = 0;
        std::uint64_t rows() const { return rowsOfHalf[0] + rowsOfHalf[1]; }
    };
    static Image image(const ByteSource& source, std::uint64_t offset, const std::string& where);
    // Bytes of the sums of both halves.
    static std::uint64_t bytesOf(std::uint64_t dx, std::uint64_t dy);

private:
    struct Half {
        explicit Half(std::size_t channels) : products(channels, TileSums::Shape::lower, FineSteps::digit) {}
        std::uint64_t rows = 0;
        std::vector<std::int64_t> sums;  // by packed channel
        TileSums products;
        std::optional<PackedRows> waiting;
        std::size_t waitingRows = 0;
    };

    void flush(Half& half, unsigned threads, const Beside& beside);
    Moments momentsOf(std::span<const Half* const> halves, unsigned threads) const;

    FineStepsPair steps_;
    std::array<Half, 2> half_;
    std::uint64_t setAside_ = 0;
    kernels::Isa isa_;
};

}  // namespace regauge

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
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "correlation/packed_rows.hpp"
#include "correlation/tile_sums.hpp"
#include "kernels/isa.hpp"
#include "pairing/site_sums.hpp"

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

    std::size_t d() const { return centre_.size(); }
    double centre(std::size_t j) const { return centre_[j]; }
    double step(std::size_t j) const { return step_[j]; }
    bool isMassive(std::span<const float> row) const;
    // hi and lo of each channel of a finite row.
    void quantize(std::span<const float> row, std::int16_t* hi, std::int16_t* lo) const;

private:
    std::vector<double> centre_, step_, inverse_;  // step and its inverse are powers of two, or 0 in a constant channel
    double rowLimit_ = 0;
};

// Sums over paired rows, in two halves of the rows as in CorrelationSums: blocks of 32 take turns. The sums are
// integers: no thread count and no order of the rows changes them.
class JointSums {
public:
    JointSums(FineSteps x, FineSteps y);

    // All the rows of a pair of sites. Throws Error: notFinite, cancelled, and what reading throws.
    static JointSums of(const SitePair& pair, unsigned threads, const Progress& progress);

    void add(const PairedBlock& block, const std::string& whereX, const std::string& whereY, unsigned threads,
             const Beside& beside = {});
    // Multiplies the rows that wait.
    void settle(unsigned threads);

    std::uint64_t rows() const { return half_[0].rows + half_[1].rows; }
    std::uint64_t setAside() const { return setAside_; }  // massive rows, on either side

    // Of settled sums: of half 0 or 1, or of all rows.
    Moments moments(std::size_t half, unsigned threads) const;
    Moments moments(unsigned threads) const;

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

    FineSteps x_, y_;
    std::array<Half, 2> half_;
    std::uint64_t setAside_ = 0;
    kernels::Isa isa_;
};

}  // namespace regauge

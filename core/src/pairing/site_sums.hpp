// Reading a pair of sites into exact sums.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.hpp"
#include "regauge/correlation.hpp"
#include "regauge/evidence.hpp"
#include "regauge/match.hpp"

namespace regauge {

// Rows that a quantizer is fitted to, and that hold its memory.
struct RowSample {
    std::unique_ptr<std::byte[]> bytes;
    RowsView view;
};

// Some paired rows of both sides, one after another in their files.
struct PairedBlock {
    std::uint64_t first;  // the number of the first of them, which holds whoever sums them
    std::array<RowsView, 2> side;
    std::span<const std::uint8_t> skip;  // one flag a row: 1 = leave it out
};

// Throws Error(dimensionMismatch) where d differs.
void requireOneWidth(const Evidence& source, const Evidence& target);
// The sentence for evidence without a site or gains in common.
std::string noCommonEvidence(const Evidence& source, const Evidence& target);

// The site names that take part: those asked for, or all that both sides have; none where only "gains" were asked for,
// which are no rows. Throws Error(usage) where there are none, or one asked for is missing.
std::vector<std::string> commonSites(const Evidence& source, const Evidence& target,
                                     const std::vector<std::string>& asked);

// Which of the rows are summed here, where others sum the rest. Rows have numbers that hold whoever sums them: they
// decide the half.
struct RowShare {
    std::uint64_t firstRow = 0;         // the number of the first row of the files
    std::uint64_t part = 0, parts = 1;  // of the rows of the files, this one of so many even parts
};

// Rows [begin, end).
struct RowRange {
    std::uint64_t begin = 0, end = 0;
};

// Sums of half 0 and of half 1 of the rows, with Gram matrices, by the same quantizers.
using SumsOfHalves = std::array<CorrelationSums, 2>;

// A site of both sides, checked: rows pair by count, d and token ids.
class SitePair {
public:
    // Throws Error: usage (no such site), dimensionMismatch, rowsMismatch, tokensDiffer.
    SitePair(const Evidence& source, const Evidence& target, std::string site, const MatchOptions& options,
             const RowShare& share = {});
    // Two sites, of widths that may differ. Throws as the other one does, but for dimensionMismatch.
    SitePair(const Evidence& source, const Evidence& target, const std::string& siteX, const std::string& siteY,
             const MatchOptions& options, const RowShare& share = {});

    const std::string& whereX() const { return x_->where(); }
    const std::string& whereY() const { return y_->where(); }

    // The numbers of the rows of the files that may be summed at all, and of those that are summed here.
    RowRange known() const { return {share_.firstRow, share_.firstRow + usable_}; }
    RowRange here() const { return {share_.firstRow + begin_, share_.firstRow + end_}; }

    // Rows of each side at even distances over the files, whatever the share. Throws Error(notFinite).
    std::array<RowSample, 2> sample() const;
    // Calls fn for block after block of the rows that are summed here; `beside` is what may be done while fn's threads
    // are busy. Throws Error(cancelled), and what reading throws.
    void forBlocks(const Progress& progress,
                   const std::function<void(const PairedBlock& block, const Beside& beside)>& fn) const;
    // Fitted to all the rows of the files, whatever the share. Throws Error(notFinite).
    QuantizerPair fit(Resolution resolution, unsigned threads) const;
    // Reads the rows in blocks. Throws Error: notFinite, cancelled.
    CorrelationSums sum(const QuantizerPair& quantizers, bool withGram, unsigned threads,
                        const Progress& progress) const;
    // Those of each half of the rows alone; merged they are sum().
    SumsOfHalves sumHalves(const QuantizerPair& quantizers, unsigned threads, const Progress& progress) const;

private:
    std::string name_;
    std::shared_ptr<const RowReader> x_, y_;
    RowShare share_;
    std::uint64_t usable_, begin_, end_;  // counted within the files
    std::vector<std::uint8_t> skip_;      // one flag a row of the files
    FileHash hashX_, hashY_;              // worked out beside the sums, since matching asks for them later
};

// All the rows of a site, with Gram matrices where the options need them.
CorrelationSums sumSite(const Evidence& source, const Evidence& target, const std::string& site,
                        const MatchOptions& options, Resolution resolution, const Progress& progress);

// Whitening needs the Gram matrices. The permutation baseline is the raw signed correlation, as in the paper.
inline bool needsGram(const MatchOptions& options) {
    return options.group != Group::permutation && options.statistic != Statistic::correlation;
}

}  // namespace regauge

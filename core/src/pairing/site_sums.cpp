#include "pairing/site_sums.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

#include "base/parallel.hpp"
#include "correlation/float_rows.hpp"
#include "correlation/halves.hpp"
#include "kernels/aligned_buffer.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t fitRows = 2048;  // the quantizer is fitted to so many, in blocks spread over the file: an
                                         // embedding's first rows are unlike the rest
constexpr std::uint64_t fitBlocks = 64;
// What is read of one side at a time: before the first block there is nothing to do beside, and columns of weights are
// read in short pieces.
constexpr std::uint64_t fewestBlocks = 16, leastBytesAtOnce = std::uint64_t{1} << 20,
                        mostBytesAtOnce = std::uint64_t{4} << 20;

// What tables call the gains.
constexpr std::string_view gainsSite = "gains";

const Site& findSite(const Evidence& evidence, const std::string& name) {
    const auto found = std::ranges::find(evidence.sites, name, &Site::name);
    if (found == evidence.sites.end()) throw Error(ErrorCode::usage, evidence.name, "there is no site '" + name + "'");
    return *found;
}

std::size_t bytesOfRow(const RowReader& reader) { return reader.d() * byteSize(reader.dtype()); }

using Bytes = kernels::UnclearedVector<std::byte>;

// Rows as they are asked for: those that cost nothing more are kept for the next time.
class KeptRows {
public:
    explicit KeptRows(const RowReader& reader) : reader_(reader), together_(reader.rowsTogether()) {}
    const RowReader& reader() const { return reader_; }

    void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) {
        if (together_ == 1) return reader_.read(first, count, out);
        const std::size_t rowBytes = bytesOfRow(reader_);
        while (count > 0) {
            const std::uint64_t begin = first / together_ * together_,
                                end = std::min(reader_.rows(), begin + together_);
            if (keptFrom_ != begin) {
                keptFrom_ = nothing;  // should reading fail
                kept_.resize(static_cast<std::size_t>(end - begin) * rowBytes);
                reader_.read(begin, end - begin, kept_);
                keptFrom_ = begin;
            }
            const std::uint64_t here = std::min(count, end - first);
            std::memcpy(out.data(), kept_.data() + static_cast<std::size_t>(first - begin) * rowBytes,
                        static_cast<std::size_t>(here) * rowBytes);
            out = out.subspan(static_cast<std::size_t>(here) * rowBytes);
            first += here, count -= here;
        }
    }

private:
    static constexpr std::uint64_t nothing = UINT64_MAX;

    const RowReader& reader_;
    std::uint64_t together_;
    Bytes kept_;  // rows from keptFrom_
    std::uint64_t keptFrom_ = nothing;
};

// The rows of both sides, block after block; the next ones can be read while those before are summed.
class PairedRows {
public:
    PairedRows(const RowReader& x, const RowReader& y, RowRange rows)
        : sides_{KeptRows(x), KeptRows(y)}, next_(rows.begin), end_(rows.end) {
        const std::uint64_t widest = std::max<std::uint64_t>(1, std::max(bytesOfRow(x), bytesOfRow(y)));
        const std::uint64_t bytes =
            std::clamp((rows.end - rows.begin) * widest / fewestBlocks, leastBytesAtOnce, mostBytesAtOnce);
        atOnce_ = std::max<std::uint64_t>(1, bytes / widest);
    }

    // Reads one side of the next block. False where it is there, or there is none.
    bool readAhead() {
        if (read_ == 2 || next_ == end_) return false;
        try {
            Bytes& bytes = buffers_[turn_][read_];
            bytes.resize(static_cast<std::size_t>(count()) * bytesOfRow(sides_[read_].reader()));
            sides_[read_].read(next_, count(), bytes);
            ++read_;
        } catch (...) {  // not before its turn: rows before it may have errors of their own
            failure_ = std::current_exception();
            read_ = 2;
        }
        return true;
    }

    // The next block, which is there until the call after the next one.
    std::optional<PairedBlock> next() {
        if (next_ == end_) return std::nullopt;
        while (readAhead()) {
        }
        if (failure_) std::rethrow_exception(failure_);
        const auto view = [&](std::size_t side) {
            return RowsView{buffers_[turn_][side].data(), sides_[side].reader().dtype(),
                            static_cast<std::size_t>(count()), sides_[side].reader().d()};
        };
        const PairedBlock block{next_, {view(0), view(1)}, {}};
        next_ += count();
        turn_ = 1 - turn_, read_ = 0;
        return block;
    }

private:
    std::uint64_t count() const { return std::min(atOnce_, end_ - next_); }

    std::array<KeptRows, 2> sides_;
    std::uint64_t next_, end_, atOnce_;
    std::array<std::array<Bytes, 2>, 2> buffers_;  // blocks take turns
    std::size_t turn_ = 0, read_ = 0;              // sides of the next block that are there
    std::exception_ptr failure_;
};

// The rows that a quantizer is fitted to. Padding is left out, and may hold anything.
RowSample sampleOf(const RowReader& reader, std::uint64_t rows, std::span<const std::uint8_t> skip) {
    const std::uint64_t blocks = rows <= fitRows ? 1 : fitBlocks;
    const std::uint64_t rowsOfBlock = rows <= fitRows ? rows : fitRows / fitBlocks;
    const std::size_t rowBytes = bytesOfRow(reader), blockBytes = static_cast<std::size_t>(rowsOfBlock) * rowBytes;
    RowSample sample{std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(blocks) * blockBytes),
                     {nullptr, reader.dtype(), 0, reader.d()}};
    RowsView& kept = sample.view;
    kept.data = sample.bytes.get();
    std::vector<float> room(reader.d());
    KeptRows source(reader);
    for (std::uint64_t block = 0; block < blocks; ++block) {
        const std::uint64_t first = blocks == 1 ? 0 : block * (rows - rowsOfBlock) / (blocks - 1);
        std::byte* row = sample.bytes.get() + kept.rows * rowBytes;
        source.read(first, rowsOfBlock, {row, blockBytes});
        for (std::uint64_t i = first; i < first + rowsOfBlock; ++i, row += rowBytes) {
            if (skip[static_cast<std::size_t>(i)] != 0) continue;
            std::memmove(sample.bytes.get() + kept.rows * rowBytes, row, rowBytes);
            const std::span<const float> values = rowAsFloats(kept, kept.rows, room);
            if (const auto column = firstNotFinite(values)) throwNotFinite(reader.where(), i, *column, values[*column]);
            ++kept.rows;
        }
    }
    return sample;
}

// One flag a row: 1 = leave it out (padding on either side, or the first rows of a sequence; where no shape tells
// sequences, all rows are one).
std::vector<std::uint8_t> skippedRows(const Evidence& source, const Evidence& target, std::uint64_t rows,
                                      std::uint64_t firstRow, std::uint64_t sequence, std::uint64_t skipFirst) {
    std::vector<std::uint8_t> skip(static_cast<std::size_t>(rows), 0);
    for (const Evidence* side : {&source, &target})
        if (side->mask)
            for (std::size_t row = 0; row < std::min(skip.size(), side->mask->size()); ++row)
                skip[row] |= (*side->mask)[row] == 0;
    if (skipFirst > 0)
        for (std::size_t row = 0; row < skip.size(); ++row)
            skip[row] |= (sequence > 0 ? (firstRow + row) % sequence : firstRow + row) < skipFirst;
    return skip;
}

// Of the first `rows` rows.
void requireSameTokens(const Evidence& source, const Evidence& target, std::uint64_t rows) {
    if (!source.tokenIds || !target.tokenIds) return;
    const auto first = [&](const Evidence& side) {
        return std::span(*side.tokenIds).first(std::min(static_cast<std::size_t>(rows), side.tokenIds->size()));
    };
    const std::span<const std::int64_t> ofSource = first(source), ofTarget = first(target);
    const auto [s, t] = std::ranges::mismatch(ofSource, ofTarget);
    if (s == ofSource.end() || t == ofTarget.end()) return;
    throw Error(ErrorCode::tokensDiffer, target.name,
                "token_ids differ from those of " + source.name + " at row " + std::to_string(s - ofSource.begin()) +
                    " (" + std::to_string(*t) + " against " + std::to_string(*s) +
                    "); run both models on the same tokens in the same order");
}

void requireOneWidth(std::size_t source, const std::string& sourceName, std::size_t target,
                     const std::string& targetName) {
    if (source != target)
        throw Error(
            ErrorCode::dimensionMismatch, targetName,
            "d = " + std::to_string(target) + ", and " + sourceName + " has d = " + std::to_string(source) +
                "; both models must have one width, but for a map: 'regauge map SOURCE TARGET -o map.safetensors'");
}

// Where part k of `parts` even parts of `rows` rows begins: at whole blocks of rows that take turns between the halves.
std::uint64_t partBegin(std::uint64_t rows, std::uint64_t k, std::uint64_t parts) {
    if (k == parts) return rows;
    constexpr std::uint64_t turn = 64;
    return (rows / parts * k + rows % parts * k / parts) / turn * turn;
}

}  // namespace

std::string noCommonEvidence(const Evidence& source, const Evidence& target) {
    const auto names = [](const Evidence& evidence) {
        std::string list;
        for (const Site& site : evidence.sites)
            if (!site.weights) list += (list.empty() ? "" : ", ") + site.name;
        return list.empty() ? std::string("none") : list;
    };
    return "no site and no gains in common with " + source.name + "; its sites: " + names(source) +
           "; this one's: " + names(target);
}

void requireOneWidth(const Evidence& source, const Evidence& target) {
    requireOneWidth(source.d, source.name, target.d, target.name);
}

std::vector<std::string> commonSites(const Evidence& source, const Evidence& target,
                                     const std::vector<std::string>& asked) {
    if (!asked.empty()) {
        std::vector<std::string> names;
        for (const std::string& site : asked) {
            const bool areGains = site == gainsSite && !source.gains.empty() && !target.gains.empty() &&
                                  std::ranges::find(source.sites, site, &Site::name) == source.sites.end();
            if (areGains) continue;  // they take part whenever both sides have them, and are no rows
            findSite(source, site), findSite(target, site);
            names.push_back(site);
        }
        return names;
    }
    std::set<std::string_view> ofTarget;  // experts make tens of thousands
    for (const Site& site : target.sites) ofTarget.insert(site.name);
    std::vector<std::string> names;
    for (const Site& site : source.sites)
        if (ofTarget.contains(site.name)) names.push_back(site.name);
    return names;
}

SitePair::SitePair(const Evidence& source, const Evidence& target, std::string site, const MatchOptions& options,
                   const RowShare& share)
    : SitePair(source, target, site, site, options, share) {
    requireOneWidth(x_->d(), x_->where(), y_->d(), y_->where());
}

SitePair::SitePair(const Evidence& source, const Evidence& target, const std::string& nameX, const std::string& nameY,
                   const MatchOptions& options, const RowShare& share)
    : name_(nameX == nameY ? nameX : nameX + " and " + nameY), share_(share) {
    const Site &siteX = findSite(source, nameX), &siteY = findSite(target, nameY);
    x_ = siteX.rows, y_ = siteY.rows;
    const RowReader &x = *x_, &y = *y_;
    // Rows of a vocabulary are numbered by token, so the first ones are the same tokens; --rows may ask for no more
    // than both sides have.
    const std::uint64_t both = std::min(x.rows(), y.rows());
    if (x.rows() != y.rows() && !(siteX.vocabulary && siteY.vocabulary) && options.rows.value_or(UINT64_MAX) > both)
        throw Error(ErrorCode::rowsMismatch, y.where(),
                    std::to_string(y.rows()) + " rows, and " + x.where() + " has " + std::to_string(x.rows()) +
                        "; rows are paired by position, so both sides need the same tokens in the same order");
    const std::uint64_t wanted = options.rows.value_or(UINT64_MAX);
    usable_ = std::min(both, wanted - std::min(wanted, share.firstRow));
    if (!siteX.vocabulary) requireSameTokens(source, target, usable_);
    begin_ = partBegin(usable_, share.part, share.parts), end_ = partBegin(usable_, share.part + 1, share.parts);
    const std::uint64_t sequence = siteX.sequence != 0 ? siteX.sequence : siteY.sequence;
    if (options.skipFirst > 0) {
        if (siteY.sequence != 0 && siteY.sequence != sequence)
            throw Error(ErrorCode::rowsMismatch, y.where(),
                        "has sequences of " + std::to_string(siteY.sequence) + " rows, and " + x.where() + " of " +
                            std::to_string(sequence) + "; rows are paired by position, so whose first rows are meant?");
        if (sequence != 0 && options.skipFirst >= sequence)
            throw Error(ErrorCode::usage, (siteX.sequence != 0 ? x : y).where(),
                        "has sequences of " + std::to_string(sequence) + " rows, and without the first " +
                            std::to_string(options.skipFirst) + " of each none is left (--skip-first)");
    }
    skip_ = skippedRows(source, target, both, share.firstRow, sequence, options.skipFirst);
    hashX_ = source.sha256, hashY_ = target.sha256;
}

std::array<RowSample, 2> SitePair::sample() const {
    return {sampleOf(*x_, usable_, skip_), sampleOf(*y_, usable_, skip_)};
}

QuantizerPair SitePair::fit(Resolution resolution, unsigned threads) const {
    const std::array<RowSample, 2> samples = sample();
    QuantizerPair pair;
    parallelFor(threads, 2, [&](std::size_t k) {
        (k == 0 ? pair.x : pair.y) = fitQuantizer(samples[k].view, (k == 0 ? x_ : y_)->where(), resolution);
    });
    return pair;
}

CorrelationSums SitePair::sum(const QuantizerPair& quantizers, bool withGram, unsigned threads,
                              const Progress& progress) const {
    CorrelationSums sums(quantizers.x, quantizers.y, withGram);
    forBlocks(progress, [&](const PairedBlock& block, const Beside& beside) {
        sums.add(block.side[0], block.side[1], block.first, x_->where(), y_->where(), block.skip, threads, beside);
    });
    sums.settle([&] { return hashX_.step() || hashY_.step(); });
    return sums;
}

SumsOfHalves SitePair::sumHalves(const QuantizerPair& quantizers, unsigned threads, const Progress& progress) const {
    SumsOfHalves sums{CorrelationSums(quantizers.x, quantizers.y, true),
                      CorrelationSums(quantizers.x, quantizers.y, true)};
    std::vector<std::uint8_t> skip;
    forBlocks(progress, [&](const PairedBlock& block, const Beside& beside) {
        for (std::size_t half = 0; half < 2; ++half) {
            skip.assign(block.skip.begin(), block.skip.end());
            for (std::size_t row = 0; row < skip.size(); ++row) skip[row] |= halfOf(block.first + row) != half;
            sums[half].add(block.side[0], block.side[1], block.first, x_->where(), y_->where(), skip, threads, beside);
        }
    });
    for (CorrelationSums& half : sums) half.settle();
    return sums;
}

void SitePair::forBlocks(const Progress& progress,
                         const std::function<void(const PairedBlock& block, const Beside& beside)>& fn) const {
    PairedRows rows(*x_, *y_, {begin_, end_});
    const Beside beside = [&] { return rows.readAhead() || hashX_.step() || hashY_.step(); };
    while (auto block = rows.next()) {
        const std::uint64_t inFile = block->first;
        block->skip = std::span(skip_).subspan(static_cast<std::size_t>(inFile), block->side[0].rows);
        block->first += share_.firstRow;
        fn(*block, beside);
        progress.report("reading " + name_, inFile + block->side[0].rows - begin_, end_ - begin_);
    }
}

CorrelationSums sumSite(const Evidence& source, const Evidence& target, const std::string& site,
                        const MatchOptions& options, Resolution resolution, const Progress& progress) {
    const SitePair pair(source, target, site, options);
    return pair.sum(pair.fit(resolution, options.threads), needsGram(options), options.threads, progress);
}

}  // namespace regauge

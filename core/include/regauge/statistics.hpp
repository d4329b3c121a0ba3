// Statistics files: all that match() needs of the rows of a pair, or of a part of them, as exact integer sums. Files of
// parts add up to the file of the whole in any order, on any machine, and the whole gives the gauge that the rows
// themselves give, bit for bit. (docs/scale.md: the layout.)
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "regauge/correlation.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/map.hpp"
#include "regauge/match.hpp"

namespace regauge {

// A file of statistics. The heading is in memory; the sums are read when they are asked for, site by site.
class Statistics {
public:
    // A file that went in: its name and its hash, where it has one.
    using Input = Alignment::Side;
    struct SiteHeading {
        std::string name;  // of sums for maps "SOURCE_SITE=TARGET_SITE"
        bool weights = false;
        std::uint64_t known = 0;  // rows 0 .. known - 1 are known to exist
        std::vector<std::pair<std::uint64_t, std::uint64_t>>
            covered;                 // rows [first, second) went in: in order, apart from each other
        std::uint64_t rows = 0;      // summed: without padding, massive rows and --skip-first
        std::uint64_t setAside = 0;  // massive rows
    };
    struct Heading {
        std::size_t d = 0;
        bool withGram = false;  // whitening is possible
        bool chosen = false;    // the sites were asked for by name
        std::uint64_t skipFirst = 0;
        std::vector<Input> source, target;  // sorted
        std::vector<Gains> sourceGains, targetGains;
        std::vector<SiteHeading> sites;
        std::size_t mapWidth = 0;  // the target's, where the sums are for maps from the source's d; 0: for a gauge
        bool forMaps() const { return mapWidth > 0; }
    };

    // The first rows that are known to exist and are not in: "rows 4096 to 8191 of site 'rows'"; empty where all are
    // in.
    static std::string missingRows(const Heading& heading);

    // Whether a file begins like one.
    static bool recognises(const ByteSource& file);
    // Reads and checks the heading. Throws Error: malformed, truncated, unsupported.
    explicit Statistics(std::shared_ptr<const ByteSource> file);

    const Heading& heading() const { return heading_; }
    const std::string& name() const { return file_->name(); }
    // The sums of a site, not for maps; only its quantizers. Coarse ones are always there, fine ones with Gram
    // matrices. Throws Error: malformed, truncated, unsupported.
    CorrelationSums sums(std::size_t site, Resolution resolution) const;
    QuantizerPair quantizers(std::size_t site, Resolution resolution) const;
    std::string missing() const { return missingRows(heading_); }

    // Where an image lies: of a site the n-th, as docs/scale.md lists them.
    struct Place {
        const ByteSource& file;
        std::uint64_t offset;
        std::string where;  // for messages
    };
    Place place(std::size_t site, std::size_t image) const;

private:
    std::string where(const SiteHeading& site) const;

    std::shared_ptr<const ByteSource> file_;
    Heading heading_;
    std::vector<std::vector<std::uint64_t>> offsets_;  // of the images of each site
};

// What goes into a statistics file.
struct StatisticsOptions {
    MatchOptions match;    // sites, rows, skipFirst, threads; Gram matrices unless group or statistic do without
    bool forMaps = false;  // sums for maps between the sites "SOURCE_SITE=TARGET_SITE"; where each side has one site
                           // only, none need be named
    std::uint64_t part = 0, parts = 1;  // of the rows of these files, this one of so many even parts
    std::uint64_t firstRow = 0;  // the number of the first row of these files, where others hold the rows before it
    bool fitOnly = false;        // quantizers and no rows: for `like` elsewhere
    const Statistics* like =
        nullptr;  // take its quantizers; otherwise they are fitted to the rows of these files, as match() does
};

// Sums a part of the paired rows of all sites that take part, weights too (match() skips those only once a site is
// sure, which no part can know), one site in memory at a time. Throws Error as match() does, and usage where `like`
// does not have a site. What is in the file.
Statistics::Heading writeStatistics(const Evidence& source, const Evidence& target, const StatisticsOptions& options,
                                    ByteSink& out, const Progress& progress = {});

// Adds up files; any order gives the same bytes. Throws Error(usage) where two of them hold the same rows, or do not
// belong together: other quantizers, sites, widths, gains or options; tooLarge where `memory` bytes (0: nobody knows)
// cannot hold two of the sums. What is in the file.
Statistics::Heading mergeStatistics(std::span<const std::shared_ptr<const Statistics>> parts, ByteSink& out,
                                    const Progress& progress = {}, std::uint64_t memory = 0);

// match() of the rows that went in. options.sites chooses among the sites; rows and skipFirst were settled when the
// rows were summed. Throws Error(usage)
// where group and statistic need other sums: with Gram matrices the rows are quantized finer than without.
Alignment match(const Statistics& statistics, const MatchOptions& options = {}, const Progress& progress = {});

// fitMaps() of the rows that went in, where they were summed for maps. options.sites chooses among the pairs of sites;
// rows and skipFirst were settled. Throws Error: usage, and as fitMaps() does.
MapSet fitMaps(const Statistics& statistics, const MapOptions& options = {}, const Progress& progress = {});

}  // namespace regauge

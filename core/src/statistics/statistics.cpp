// Statistics files as values: what lies where.
#include "regauge/statistics.hpp"

#include <algorithm>
#include <array>

#include "kernels/panel.hpp"
#include "maps/joint_sums.hpp"
#include "regauge/error.hpp"
#include "statistics/heading.hpp"
#include "statistics/layout.hpp"

namespace regauge {
namespace {

// Earlier files have coarse sums of eight bits.
bool fits(int limit, Resolution resolution) {
    return limit == limitOf(resolution) || (resolution == Resolution::coarse && limit == kernels::earlierCoarseLimit);
}

}  // namespace

Statistics::Statistics(std::shared_ptr<const ByteSource> file) : file_(std::move(file)) {
    ReadHeading read = readHeading(*file_);
    heading_ = std::move(read.heading);
    std::uint64_t at = read.end;
    for (SiteHeading& site : heading_.sites) {
        std::uint64_t covered = 0;
        for (const auto& [begin, end] : site.covered) covered += end - begin;
        const auto require = [&](bool fits) {
            if (!fits)
                throw Error(ErrorCode::malformed, where(site),
                            "these sums do not fit the heading of the file; sum the rows again");
        };
        std::vector<std::uint64_t>& offsets = offsets_.emplace_back();
        const auto next = [&](std::uint64_t bytes) { offsets.push_back(at), at += bytes; };
        std::array<std::uint64_t, 2> rowsOfHalf{};
        if (heading_.forMaps()) {
            const JointSums::Image image = JointSums::image(*file_, at, where(site));
            require(image.dx == heading_.d && image.dy == heading_.mapWidth);
            site.rows = image.rows(), site.setAside = image.setAside, rowsOfHalf = image.rowsOfHalf;
            next(image.bytes);
        }
        for (const Resolution resolution : resolutions(heading_)) {
            std::uint64_t rows = 0, setAside = 0;
            for (std::size_t part = 0; part < partsOf(heading_); ++part) {
                const CorrelationSums::Image image = CorrelationSums::image(*file_, at, where(site));
                require(image.d == heading_.d && image.withGram == heading_.withGram && fits(image.limit, resolution));
                if (heading_.forMaps())
                    require(image.rows() == rowsOfHalf[part] && image.rowsOfHalf[part] == rowsOfHalf[part]);
                rows += image.rows(), setAside += image.setAside;
                next(image.bytes);
            }
            if (!heading_.forMaps() && resolution == Resolution::coarse) site.rows = rows, site.setAside = setAside;
            require(rows == site.rows && setAside == site.setAside);
        }
        require(site.rows + site.setAside <= covered);
    }
    if (at != file_->size())
        throw Error(
            ErrorCode::malformed, name(),
            "expected " + std::to_string(at) + " bytes, found " + std::to_string(file_->size()) + "; copy it again");
}

std::string Statistics::where(const SiteHeading& site) const { return name() + ": " + site.name; }

Statistics::Place Statistics::place(std::size_t site, std::size_t image) const {
    return {*file_, offsets_.at(site).at(image), where(heading_.sites.at(site))};
}

CorrelationSums Statistics::sums(std::size_t site, Resolution resolution) const {
    return readSums<CorrelationSums>(place(site, imageOf(heading_, resolution)));
}

QuantizerPair Statistics::quantizers(std::size_t site, Resolution resolution) const {
    const Place at = place(site, imageOf(heading_, resolution));
    return CorrelationSums::readQuantizers(at.file, at.offset, at.where);
}

std::string Statistics::missingRows(const Heading& heading) {
    for (const SiteHeading& site : heading.sites) {
        std::uint64_t next = 0;
        for (const auto& [begin, end] : site.covered) {
            if (begin > next) return rowsText({next, begin}, site.name);
            next = end;
        }
        if (next < site.known) return rowsText({next, site.known}, site.name);
    }
    return "";
}

}  // namespace regauge

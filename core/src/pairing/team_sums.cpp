#include "pairing/team_sums.hpp"

#include <algorithm>
#include <optional>

#include "base/sha256.hpp"
#include "io/bytes.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::uint32_t nothingMore = UINT32_MAX;

// What rank 0 asks of the others.
struct Request {
    std::uint32_t site = nothingMore;  // its place in the source's list
    std::uint32_t fine = 0;
};

template <class T>
std::span<std::byte> bytesOf(T& value) {
    return std::as_writable_bytes(std::span(&value, 1));
}

// A member whose files are another version of the same paths would spoil the sums unseen: what everybody must agree on,
// in one word.
std::string agreed(const SitePair& pair, const QuantizerPair& quantizers) {
    Sha256 hash;
    const std::uint64_t rows = pair.known().end;
    hash.update(std::as_bytes(std::span(&rows, 1)));
    for (const Quantizer* side : {&quantizers.x, &quantizers.y}) {
        hash.update(std::as_bytes(std::span(side->centre)));
        hash.update(std::as_bytes(std::span(side->step)));
        hash.update(std::as_bytes(std::span(&side->rowLimit, 1)));
    }
    return hash.hex();
}

CorrelationSums sumShare(Team& team, const Evidence& source, const Evidence& target, const std::string& site,
                         Resolution resolution, const MatchOptions& options, const Progress& progress) {
    std::optional<CorrelationSums> sums;
    std::string mine;
    together(team, [&] {
        const SitePair pair(source, target, site, options, {0, team.rank(), team.size()});
        const QuantizerPair quantizers = pair.fit(resolution, options.threads);
        mine = agreed(pair, quantizers);
        sums = pair.sum(quantizers, needsGram(options), options.threads, progress);
    });
    std::string first = mine;
    team.broadcast(std::as_writable_bytes(std::span(first)), 0);
    together(team, [&] {
        if (mine != first)
            throw Error(ErrorCode::rowsMismatch, target.name,
                        "this process sees other rows of site '" + site +
                            "' than the first one; all of them must read the same files");
    });
    sums->reduce([&](std::span<std::int64_t> values) { team.sumAtFirst(values); });
    return std::move(*sums);
}

}  // namespace

TeamLead::TeamLead(Team& team, const Evidence& source, const Evidence& target, const MatchOptions& options,
                   const Progress& progress)
    : team_(team), source_(source), target_(target), options_(options), progress_(progress) {}

TeamLead::~TeamLead() {
    Request end;
    team_.broadcast(bytesOf(end), 0);
}

CorrelationSums TeamLead::sum(const std::string& site, Resolution resolution) const {
    const auto place = std::ranges::find(source_.sites, site, &Site::name) - source_.sites.begin();
    Request request{static_cast<std::uint32_t>(place), resolution == Resolution::fine ? 1U : 0U};
    team_.broadcast(bytesOf(request), 0);
    return sumShare(team_, source_, target_, site, resolution, options_, progress_);
}

void helpMatch(const Evidence& source, const Evidence& target, const MatchOptions& options) {
    Team& team = *options.team;
    try {
        for (;;) {
            Request request;
            team.broadcast(bytesOf(request), 0);
            if (request.site == nothingMore) return;
            // Files that differ may not even have the site: sumShare says so, and everybody hears of it.
            const std::string site = request.site < source.sites.size() ? source.sites[request.site].name
                                                                        : "number " + std::to_string(request.site);
            sumShare(team, source, target, site, request.fine != 0 ? Resolution::fine : Resolution::coarse, options,
                     {});
        }
    } catch (const Error&) {
        // Everybody has it, and rank 0 tells; its TeamLead still says goodbye.
        Request end;
        team.broadcast(bytesOf(end), 0);
    }
}

}  // namespace regauge

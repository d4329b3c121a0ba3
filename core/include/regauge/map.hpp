// Maps between residual streams that no gauge relates: y = M x + b, of models whose widths may differ, and the way back
// x = N y + c. Unlike a gauge, a map belongs to a pair of sites. (docs/maps.md: the mathematics and its sources.)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "regauge/evidence.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/match.hpp"
#include "regauge/progress.hpp"

namespace regauge {

// The ladder, lowest rung first.
enum class MapFamily {
    identity,    // M = I, one width
    gauge,       // M a signed permutation, one width
    orthogonal,  // M^T M = I, or M M^T = I where the target is narrower
    affine,      // any M
};
// "identity", "gauge", "orthogonal", "affine".
std::string_view name(MapFamily);
std::optional<MapFamily> mapFamilyFromName(std::string_view);

// One rung, judged on rows that it was not fitted to: each half of the rows by what the other half gave.
struct MapRung {
    MapFamily family = MapFamily::identity;
    double r2 = 0;      // share of the target's held-out variance explained, all channels together
    double behind = 0;  // how much less of it than the best rung
    double doubt = 0;   // how much of that the rows cannot tell from nothing
};

// A map of one pair of sites. Matrices are row-major float32, as in the file.
struct Map {
    MapFamily family = MapFamily::affine;
    bool helps = true;   // it explains more of the target than its mean does, by more than the rows can tell
    bool judged = true;  // its figures were measured: not of a file without the fingerprint that they go with
    std::string sourceSite, targetSite;
    std::size_t sourceWidth = 0, targetWidth = 0;
    std::vector<float> forward, forwardBias;    // M [target, source], b [target]
    std::vector<float> backward, backwardBias;  // N [source, target], c [source]
    double ridge = 0, ridgeBack = 0;            // of affine maps, in the units of scikit-learn's alpha; 0 elsewhere
    std::uint64_t rows = 0, setAside = 0;       // summed; massive rows, left out
    double r2 = 0, r2Back = 0;                  // held out: of the target's variance by M, of the source's by N
    double ceiling = 1;             // of r2: what the same rows explain of the target when given the target itself
    double roundTrip = 0;           // held out: the share of the source's variance that N M x brings back
    std::vector<double> channelR2;  // [target], held out
    std::vector<MapRung> rungs;     // those that were fitted, lowest first
    // Of the sites' channels, for --keep-strength.
    std::vector<float> sourceDeviation, targetDeviation;  // standard deviations [source], [target]

    // M x + b; x has whole rows.
    std::vector<float> apply(std::span<const float> x) const;
    // N y + c.
    std::vector<float> applyBack(std::span<const float> y) const;
    // SHA-256 in hexadecimal of forward, forwardBias, backward and backwardBias as little-endian float32. The same
    // everywhere.
    std::string fingerprint() const;
};

// Paired rows without which nothing can be held out: two halves of blocks of 32.
constexpr std::uint64_t leastMapRows = 64;

// A source site and a target site.
using SitesOfMap = std::pair<std::string, std::string>;
// "resid.8=resid.12", or one name for both. No site's name has an equals sign.
SitesOfMap sitesOfMap(std::string_view text);
std::string name(const SitesOfMap& sites);

struct MapOptions {
    std::optional<MapFamily> family;    // nothing: the lowest rung that is not worse
    std::vector<SitesOfMap> sites;      // empty: for each source site the target site that knows most of it (MapDepth)
    std::optional<double> ridge;        // nothing: from the data
    std::optional<std::uint64_t> rows;  // use only the first N rows of each site
    std::uint64_t skipFirst = 0;        // leave out the first N rows of each sequence (BOS)
    unsigned threads = 1;               // the answer does not depend on it
    std::uint64_t memory = 0;           // bytes that may be taken; 0: nobody knows. What cannot fit is refused
    Team* team = nullptr;               // processes that sum the rows together, as in MatchOptions
};

// How well affine maps of one pair of sites do, held out.
struct MapDepth {
    std::string sourceSite, targetSite;
    double r2 = 0;       // of the target's variance by the source, all channels together
    double r2Known = 0;  // of the source by the target, the mean over its channels: how much of this source site is
                         // known at that target site, which is what its place among the target's sites is chosen by
};

// The maps between two models, and what was asked on the way.
struct MapSet {
    std::vector<Map> maps;         // in the order of options.sites, or of the source's sites
    std::vector<MapDepth> depths;  // of all pairs, where no sites were given and there are several
    Alignment::Side source, target;

    // Of all maps together; the fingerprint of the only one.
    std::string fingerprint() const;
    // The one with the highest r2.
    const Map& best() const;
};

// Fits maps to paired rows. Rows are paired by position, as match() pairs them; widths may differ.
// Throws Error: usage (no such site, no sites whose rows pair, a family that needs one width), rowsMismatch,
// tokensDiffer, notFinite, tooLarge, cancelled. Time O(rows d^2 + d^3) a pair, memory O(d^2).
MapSet fitMaps(const Evidence& source, const Evidence& target, const MapOptions& options = {},
               const Progress& progress = {});
// What the other members of options.team do while the first one calls fitMaps() on the same evidence.
void helpMaps(const Evidence& source, const Evidence& target, const MapOptions& options);

// A map file: safetensors with `forward`, `forward_bias`, `backward`, `backward_bias` and the channels' deviations, or
// several pairs under "<source site>=<target site>/", and what is known of them as JSON in its metadata.
void writeMaps(const MapSet& maps, ByteSink& out);
// Whether a file is one, by content.
bool isMapFile(const ByteSource& file);
// Throws Error: missingFile, malformed, truncated, unsupported, notFinite.
MapSet readMaps(const Files& files, const std::string& path);

}  // namespace regauge

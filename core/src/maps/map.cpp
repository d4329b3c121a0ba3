// Map and MapSet as values: applying, naming, fingerprints.
#include "regauge/map.hpp"

#include <algorithm>

#include "base/sha256.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::array<std::string_view, 4> familyNames{"identity", "gauge", "orthogonal", "affine"};

// m x + b for whole rows of x.
std::vector<float> applied(std::span<const float> m, std::span<const float> b, std::span<const float> x,
                           std::size_t width) {
    if (width == 0 || x.size() % width != 0)
        throw Error(ErrorCode::dimensionMismatch, "",
                    "expected whole rows of " + std::to_string(width) + " numbers, found " + std::to_string(x.size()) +
                        " numbers");
    const std::size_t out = b.size(), rows = x.size() / width;
    std::vector<float> result(rows * out);
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = 0; i < out; ++i) {
            double sum = static_cast<double>(b[i]);
            for (std::size_t j = 0; j < width; ++j)
                sum += static_cast<double>(m[i * width + j]) * static_cast<double>(x[row * width + j]);
            result[row * out + i] = static_cast<float>(sum);
        }
    return result;
}

void hashMap(Sha256& hash, const Map& map) {
    for (const std::vector<float>* part : {&map.forward, &map.forwardBias, &map.backward, &map.backwardBias})
        hash.update(std::as_bytes(std::span(*part)));
}

}  // namespace

std::string_view name(MapFamily family) { return familyNames[static_cast<std::size_t>(family)]; }

std::optional<MapFamily> mapFamilyFromName(std::string_view text) {
    const auto found = std::ranges::find(familyNames, text);
    if (found == familyNames.end()) return std::nullopt;
    return static_cast<MapFamily>(found - familyNames.begin());
}

SitesOfMap sitesOfMap(std::string_view text) {
    const std::size_t equals = text.find('=');
    return {std::string(text.substr(0, equals)),
            std::string(equals == std::string_view::npos ? text : text.substr(equals + 1))};
}

std::string name(const SitesOfMap& sites) { return sites.first + "=" + sites.second; }

std::vector<float> Map::apply(std::span<const float> x) const { return applied(forward, forwardBias, x, sourceWidth); }
std::vector<float> Map::applyBack(std::span<const float> y) const {
    return applied(backward, backwardBias, y, targetWidth);
}

std::string Map::fingerprint() const {
    Sha256 hash;
    hashMap(hash, *this);
    return hash.hex();
}

std::string MapSet::fingerprint() const {
    Sha256 hash;
    for (const Map& map : maps) hashMap(hash, map);
    return hash.hex();
}

const Map& MapSet::best() const { return *std::ranges::max_element(maps, {}, &Map::r2); }

}  // namespace regauge

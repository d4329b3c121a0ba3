#include "hidden/hidden_space.hpp"

#include <span>
#include <utility>
#include <vector>

#include "recipes/name_pattern.hpp"
#include "recipes/recipe_table.hpp"
#include "recipes/stream_roles.hpp"
#include "regauge/error.hpp"
#include "transport/channel_list.hpp"

namespace regauge {

namespace {

// The entry of a row that is +1 or -1, all others being 0; nothing where it is another row.
std::optional<std::size_t> onlyOne(std::span<const double> row) {
    std::optional<std::size_t> found;
    for (std::size_t j = 0; j < row.size(); ++j) {
        if (row[j] == 0) continue;
        if (found || (row[j] != 1 && row[j] != -1)) return std::nullopt;
        found = j;
    }
    return found;
}

// The map as places and signs; nothing where it scales or mixes. What acts on channels and what acts on weights, each
// the other's inverse transposed, are then the same.
std::optional<Gauge> signedPlaces(const UnitMap& map) {
    std::vector<std::uint32_t> perm;
    std::vector<std::int8_t> sign;
    const std::vector<double> still{1};
    for (std::size_t u = 0; u < map.from.size(); ++u)
        for (std::size_t i = 0; i < map.unit; ++i) {
            const bool mixes = !map.matrices.empty();
            const std::span<const double> row =
                mixes ? map.matrix(u).subspan(i * map.unit, map.unit) : std::span<const double>(still);
            const std::optional<std::size_t> j = onlyOne(row);
            if (!j) return std::nullopt;
            const double factor = row[*j] * (map.scale.empty() ? 1 : map.scale[u]);
            if (factor != 1 && factor != -1) return std::nullopt;
            perm.push_back(static_cast<std::uint32_t>(map.from[u] * map.unit + (mixes ? *j : i)));
            sign.push_back(static_cast<std::int8_t>(factor));
        }
    return Gauge(std::move(perm), std::move(sign));
}

}  // namespace

std::string HiddenSpace::units() const { return unitsOf(role, layer); }

std::optional<HiddenSpace> hiddenSpace(const std::string& hook) {
    const std::string own = ownName(hook);
    for (const auto& [pattern, role] : hiddenHooks()) {
        if (!matchName(pattern, own)) continue;
        const std::size_t digits = pattern.find("{l}");
        constexpr std::size_t most = 9;  // digits of a layer's number
        const std::size_t end = own.find_first_not_of("0123456789", digits);
        if (end - digits > most) return std::nullopt;
        return HiddenSpace{hook, static_cast<std::size_t>(std::stoul(own.substr(digits, end - digits))), role};
    }
    return std::nullopt;
}

std::optional<std::string> otherHookOf(const ObjectPath& object, const TransportOptions& options) {
    if (const auto list = openChannelList(object, options, 0))
        for (const auto& [key, value] : list->places)
            if (key == "hook" && otherSpace(value)) return value;
    for (const Recipe& recipe : recipes())
        for (const std::string& key : recipe.hooks)
            if (const auto hook = object.config(recipe.config).text(key); hook && otherSpace(*hook)) return hook;
    return std::nullopt;
}

Gauge spaceGauge(const HiddenGauge& hidden, const HiddenSpace& space, const std::string& where) {
    const auto refuse = [&](const std::string& sentence) {
        throw Error(ErrorCode::unsupported, where, "lives at '" + space.hook + "', and " + sentence);
    };
    if (space.layer >= hidden.layers().size())
        refuse("the gauge's hidden part has " + std::to_string(hidden.layers().size()) + " layers, counted from 0");
    const bool neurons = ofNeurons(space.role);
    if (!neurons && hidden.shape().headDim == 0)
        refuse("the gauge's hidden part does not say how many channels a head has (head_dim)");
    const std::optional<Gauge> gauge = signedPlaces(unitMap(hidden.shape(), hidden.layers()[space.layer], space.role));
    if (!gauge)
        refuse("the gauge " +
               (neurons ? "scales " + space.units() + " (neuron_scale)"
                        : "mixes channels within the " + space.units() +
                              (space.role == HiddenRole::query || space.role == HiddenRole::key ? " (turn, free_keys)"
                                                                                                : " (value)")) +
               ", which objects there do not follow: they change places and signs alone");
    return *gauge;
}

}  // namespace regauge

#include "regauge/map_reports.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "io/json_text.hpp"
#include "summary.hpp"

namespace regauge {
namespace {

using Json = nlohmann::ordered_json;

// What a map is called in a sentence.
std::string words(MapFamily family) {
    switch (family) {
        case MapFamily::identity: return "no map at all (the same coordinates)";
        case MapFamily::gauge: return "a signed permutation";
        case MapFamily::orthogonal: return "a rotation";
        case MapFamily::affine: return "an affine map";
    }
    return {};
}

double meanOf(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) /
           static_cast<double>(std::max<std::size_t>(1, values.size()));
}

std::string capital(std::string text) {
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
}

std::string sentence(const Map& map) {
    std::string text = map.sourceSite + " -> " + map.targetSite + ": ";
    if (!map.judged)
        return text +
               "not judged: made by hand or changed since, as its figures have no fingerprint; nothing says what it "
               "explains.\n";
    if (!map.helps)
        return text + "no map helps: of rows that it has not seen, the best explains " + percent(map.r2) +
               " of the variance, which is no more than chance or the mean would; do not move anything by it.\n";
    const auto gauge = std::ranges::find(map.rungs, MapFamily::gauge, &MapRung::family);
    if (map.family > MapFamily::gauge && map.sourceWidth == map.targetWidth) {
        if (gauge != map.rungs.end())
            text += "a signed permutation explains " + percent(gauge->r2) + ". ";
        else if (map.rungs.size() > 1)
            text += "a signed permutation: no. ";
    }
    text +=
        capital(words(map.family)) + " explains " + percent(map.r2) + " of " + map.targetSite + "'s held-out variance";
    text += " (given itself, the target's own rows explain " + percent(map.ceiling) + ")";
    if (map.family == MapFamily::affine)  // of the other rungs nothing is lost there and back, by construction
        text += "; there and back, a vector keeps an estimated " + percent(std::clamp(map.roundTrip, 0.0, 1.0)) +
                " of itself";
    return text + ".\n";
}

std::string line(const std::vector<std::pair<std::string, std::string>>& cells) {
    std::string text;
    for (const auto& [key, value] : cells)
        text += "  " + key + std::string(key.size() < 14 ? 14 - key.size() : 1, ' ') + value + "\n";
    return text;
}

std::string shortNumber(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
}

// A share of each pair of sites, a row for each source site and a column for each target site.
std::string depthsText(const std::vector<MapDepth>& depths, const std::string& title, double MapDepth::*share) {
    std::vector<std::string> rows, columns;
    for (const MapDepth& depth : depths) {
        if (std::ranges::find(rows, depth.sourceSite) == rows.end()) rows.push_back(depth.sourceSite);
        if (std::ranges::find(columns, depth.targetSite) == columns.end()) columns.push_back(depth.targetSite);
    }
    const auto pad = [](std::string cell, std::size_t width) {
        return cell + std::string(cell.size() < width ? width - cell.size() : 0, ' ');
    };
    std::size_t first = 0;
    for (const std::string& row : rows) first = std::max(first, row.size() + 2);
    std::string text = "\n" + title + " in %, source sites down, target sites across\n" + pad("", first);
    for (const std::string& column : columns) text += pad(column, std::max<std::size_t>(column.size() + 2, 7));
    text += "\n";
    for (const std::string& row : rows) {
        text += pad(row, first);
        for (const std::string& column : columns) {
            std::string cell = "-";
            for (const MapDepth& depth : depths)
                if (depth.sourceSite == row && depth.targetSite == column) {
                    cell = percent(depth.*share);
                    cell.resize(cell.size() - 2);  // " %"
                }
            text += pad(cell, std::max<std::size_t>(column.size() + 2, 7));
        }
        text += "\n";
    }
    return text;
}

Json json(const Map& map) {
    Json rungs = Json::array();
    for (const MapRung& rung : map.rungs)
        rungs.push_back(
            {{"family", name(rung.family)}, {"r2", rung.r2}, {"behind", rung.behind}, {"doubt", rung.doubt}});
    return {{"family", map.helps ? name(map.family) : "none"},
            {"helps", map.helps},
            {"judged", map.judged},
            {"source_site", map.sourceSite},
            {"target_site", map.targetSite},
            {"d_source", map.sourceWidth},
            {"d_target", map.targetWidth},
            {"r2", map.r2},
            {"r2_mean_channel", meanOf(map.channelR2)},
            {"r2_back", map.r2Back},
            {"ceiling", map.ceiling},
            {"round_trip", map.roundTrip},
            {"rows", map.rows},
            {"set_aside", map.setAside},
            {"ridge", map.ridge},
            {"ridge_back", map.ridgeBack},
            {"fingerprint", map.fingerprint()},
            {"rungs", std::move(rungs)},
            {"channel_r2", map.channelR2}};
}

}  // namespace

std::string mapsText(const MapSet& set) {
    std::string text;
    for (const Map& map : set.maps) {
        text += sentence(map);
        std::string ladder;
        for (const MapRung& rung : map.rungs)
            ladder += (ladder.empty() ? "" : ", ") + std::string(name(rung.family)) + " " + percent(rung.r2);
        std::vector<std::pair<std::string, std::string>> cells{
            {"widths", std::to_string(map.sourceWidth) + " -> " + std::to_string(map.targetWidth)}};
        if (!map.judged) {
            text += line(cells);
            continue;
        }
        cells.insert(
            cells.end(),
            {{"rows", std::to_string(map.rows) +
                          (map.setAside > 0 ? " (" + std::to_string(map.setAside) + " massive rows set aside)" : "")},
             {"held-out R2", ladder},
             {"mean channel", percent(meanOf(map.channelR2)) + " of its own variance"},
             {"the way back", percent(map.r2Back)}});
        if (map.family == MapFamily::affine)
            cells.emplace_back("ridge", shortNumber(map.ridge) + ", the way back " + shortNumber(map.ridgeBack));
        text += line(cells);
    }
    text += line({{"fingerprint", set.fingerprint()}});
    if (!set.depths.empty())
        text += depthsText(set.depths, "held-out R2 of an affine map", &MapDepth::r2) +
                depthsText(set.depths,
                           "how much of a source site a target site knows, which decides its place (held-out R2 of the "
                           "way back, mean over channels)",
                           &MapDepth::r2Known);
    return text;
}

std::string mapsJson(const MapSet& set) {
    Json result = json(set.best());
    result["fingerprint"] = set.fingerprint();
    result["source"] = set.source.name;
    result["target"] = set.target.name;
    Json& pairs = result["pairs"] = Json::array();
    for (const Map& map : set.maps) pairs.push_back(json(map));
    Json& depths = result["depths"] = Json::array();
    for (const MapDepth& depth : set.depths)
        depths.push_back({{"source_site", depth.sourceSite},
                          {"target_site", depth.targetSite},
                          {"r2", depth.r2},
                          {"r2_known", depth.r2Known}});
    return jsonText(result) + "\n";
}

}  // namespace regauge

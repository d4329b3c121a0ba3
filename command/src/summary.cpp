#include "summary.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "io/json_text.hpp"
#include "shown.hpp"
#include "site_groups.hpp"

namespace regauge {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t widestColumn = 200;  // letters

double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

std::string verdictSentence(const Alignment& alignment) {
    const std::size_t d = alignment.gauge.d();
    if (std::isnan(alignment.estimate) && alignment.verdict == Verdict::aligned)
        return "not judged: made by hand or changed since, as it has no verdict with its fingerprint; nothing says how "
               "many of the " +
               std::to_string(d) + " channels are right.";
    switch (alignment.verdict) {
        case Verdict::aligned:
            if (alignment.gauge.isIdentity())
                return "aligned: these two already share coordinates (the gauge is the identity).";
            return "aligned: " + percent(alignment.estimate) + " of the " + std::to_string(d) +
                   " channels are estimated right.";
        case Verdict::partial:
            if (alignment.gauge.d() > 0 && alignment.gauge.undetermined() == alignment.gauge.d())
                return "partial: gains say which channel is which, and no sign is known; rows (activations, "
                       "embeddings) would tell the signs.";
            return "partial: about " + percent(alignment.estimate) + " of the " + std::to_string(d) +
                   " channels are estimated right; do not trust the others.";
        case Verdict::unrelated:
            return "unrelated: nothing here says that these two share a residual basis; do not use this gauge.";
    }
    return {};
}

// Columns padded to their widest cell, up to a width that names seldom have (or one long name would be as long a line
// for each row), two spaces between. Cells may hold names from files.
std::string table(std::vector<std::vector<std::string>> rows) {
    for (auto& row : rows)
        for (std::string& cell : row) cell = shown(cell);
    std::vector<std::size_t> width;
    for (const auto& row : rows)
        for (std::size_t k = 0; k < row.size(); ++k) {
            if (k == width.size()) width.push_back(0);
            width[k] = std::min(std::max(width[k], row[k].size()), widestColumn);
        }
    std::string text;
    for (const auto& row : rows) {
        for (std::size_t k = 0; k < row.size(); ++k) {
            text += row[k];
            if (k + 1 < row.size()) text += std::string(width[k] - std::min(width[k], row[k].size()) + 2, ' ');
        }
        text += '\n';
    }
    return text;
}

std::string fixed(double value, int digits) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
    return buffer;
}

}  // namespace

std::string percent(double fraction) {
    return std::isnan(fraction) ? "an unknown share" : fixed(100 * fraction, 1) + " %";
}

std::string summaryText(const Alignment& alignment) {
    std::string text = verdictSentence(alignment) + "\n";
    std::vector<std::vector<std::string>> rows;
    if (!alignment.source.name.empty()) rows.push_back({"source", alignment.source.name});
    if (!alignment.target.name.empty()) rows.push_back({"target", alignment.target.name});
    rows.push_back({"d", std::to_string(alignment.gauge.d())});
    rows.push_back({"group", std::string(name(alignment.group))});
    rows.push_back({"sign flips", std::to_string(alignment.gauge.signFlips())});
    if (alignment.gauge.undetermined() > 0)
        rows.push_back({"undetermined", std::to_string(alignment.gauge.undetermined()) + " channels without a sign"});
    if (!alignment.score.empty()) rows.push_back({"mean score", fixed(mean(alignment.score), 3)});
    if (!alignment.margin.empty()) rows.push_back({"mean margin", fixed(mean(alignment.margin), 3)});
    rows.push_back({"fingerprint", alignment.gauge.fingerprint()});
    text += table(rows);
    if (!alignment.sites.empty()) {
        std::vector<std::vector<std::string>> sites{
            {"site", "statistic", "rows", "set aside", "mean score", "halves agree", "estimate", "weight"}};
        for (const SiteReport& site : alignment.sites)
            sites.push_back({site.name, site.statistic, std::to_string(site.rows), std::to_string(site.setAside),
                             fixed(site.meanScore, 3), percent(site.agreement), percent(site.estimate),
                             fixed(site.weight, 2)});
        text += "\n" + table(sites);
    }
    if (const std::string contradiction = contradictionText(alignment); !contradiction.empty())
        text += "\n" + contradiction;
    return text;
}

std::string summaryJson(const Alignment& alignment) {
    Json sites = Json::array();
    for (const SiteReport& site : alignment.sites)
        sites.push_back({{"name", site.name},
                         {"statistic", site.statistic},
                         {"rows", site.rows},
                         {"set_aside", site.setAside},
                         {"mean_score", site.meanScore},
                         {"agreement", site.agreement},
                         {"estimate", site.estimate},
                         {"weight", site.weight}});
    const bool judged = !std::isnan(alignment.estimate);
    Json json{
        {"d", alignment.gauge.d()},
        {"group", name(alignment.group)},
        {"verdict", judged || alignment.verdict != Verdict::aligned ? Json(name(alignment.verdict)) : Json(nullptr)},
        {"estimate", judged ? Json(alignment.estimate) : Json(nullptr)},
        {"agreement", judged ? Json(alignment.agreement) : Json(nullptr)},
        {"identity", alignment.gauge.isIdentity()},
        {"fingerprint", alignment.gauge.fingerprint()},
        {"statistic", alignment.statistic},
        {"lambda", alignment.lambda},
        {"rows", alignment.rows},
        {"sites", std::move(sites)},
        {"sign_flips", alignment.gauge.signFlips()},
        {"mean_score", mean(alignment.score)},
        {"mean_margin", mean(alignment.margin)},
        {"undetermined", alignment.gauge.undetermined()},
        {"source", alignment.source.name},
        {"target", alignment.target.name}};
    if (const auto groups = contradictingSites(alignment); !groups.empty()) json["contradicting_sites"] = groups;
    return jsonText(json) + "\n";
}

std::string traceJson(const Trace& trace) {
    const std::string summary = summaryJson(trace.alignment);
    Json json = Json::parse(std::string_view(summary));  // parsers of one kind of text: each kind is 10 KB of wasm
    json["path"] = trace.path;
    json["direct"] = trace.direct;
    json["hop_by_hop"] = trace.hopByHop;
    json["cycle_agreement"] = trace.cycleAgreement;
    json["weakest"] = {{"from", trace.hops[trace.weakest].from}, {"to", trace.hops[trace.weakest].to}};
    Json& hops = json["hops"] = Json::array();
    for (const Hop& hop : trace.tried) {
        hops.push_back({{"from", hop.from},
                        {"to", hop.to},
                        {"estimate", hop.alignment.estimate},
                        {"agreement", hop.alignment.agreement},
                        {"verdict", name(hop.alignment.verdict)},
                        {"on_path", std::ranges::any_of(trace.hops, [&](const Hop& used) {
                             return used.from == hop.from && used.to == hop.to;
                         })}});
        if (hop.cycle) hops.back()["cycle"] = *hop.cycle;
    }
    return jsonText(json) + "\n";
}

std::string planText(const Plan& plan) {
    std::string text = shown(plan.description) + "\n";
    if (plan.permutationOnly) text += "permutation only: " + shown(plan.permutationOnlyReason) + "\n";
    std::vector<std::vector<std::string>> rows{{"tensor", "dtype", "shape", "axis", "action", "why"}};
    for (const TensorMove& move : plan.moves) {
        std::string axes = "-", actions = "copy";
        if (!move.moves.empty()) axes.clear(), actions.clear();
        for (const AxisMove& axis : move.moves) {
            axes += (axes.empty() ? "" : ",") + std::to_string(axis.axis);
            actions += (actions.empty() ? "" : ",") + std::string(name(axis.action)) +
                       (axis.blocks == 1 ? "" : " x" + std::to_string(axis.blocks));
        }
        rows.push_back({move.tensor.name, std::string(name(move.tensor.dtype)), toString(move.tensor.shape), axes,
                        actions, move.why});
    }
    text += table(rows);
    for (const std::string& tensor : plan.unknown) text += "unknown: " + shown(tensor) + "\n";
    return text;
}

std::string planJson(const Plan& plan) {
    Json moves = Json::array();
    for (const TensorMove& move : plan.moves) {
        Json axes = Json::array();
        for (const AxisMove& axis : move.moves) {
            axes.push_back({{"axis", axis.axis}, {"action", name(axis.action)}});
            if (axis.blocks != 1) axes.back()["blocks"] = axis.blocks;
        }
        moves.push_back({{"name", move.tensor.name},
                         {"dtype", name(move.tensor.dtype)},
                         {"shape", move.tensor.shape},
                         {"moves", std::move(axes)},
                         {"why", move.why}});
    }
    Json json{{"kind", plan.kind},
              {"description", plan.description},
              {"d", plan.d},
              {"tensors", std::move(moves)},
              {"unknown", plan.unknown}};
    if (plan.permutationOnly) json["permutation_only"] = plan.permutationOnlyReason;
    return jsonText(json) + "\n";
}

}  // namespace regauge

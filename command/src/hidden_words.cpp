#include "hidden_words.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "io/json_text.hpp"
#include "summary.hpp"

namespace regauge {
namespace {

using Json = nlohmann::ordered_json;

// Shares over all layers.
struct Overall {
    double neurons = 0, heads = 0;
};
Overall sureOverall(const HiddenReport& report) {
    Overall all;
    for (const HiddenReport::Layer& layer : report.layers)
        all.neurons += layer.neuronsSure, all.heads += layer.headsSure;
    const double count = std::max<double>(1, static_cast<double>(report.layers.size()));
    return {all.neurons / count, all.heads / count};
}

// "10^-143"; "0.41" where it is not small.
std::string chance(const HiddenReport::Identity& identity) {
    char text[40];
    if (identity.log10Chance > -3)
        std::snprintf(text, sizeof text, "%.2g", std::pow(10.0, identity.log10Chance));
    else
        std::snprintf(text, sizeof text, "10^%.1f", identity.log10Chance);
    return text;
}

constexpr double beyondChance = -9;  // log10: one in a thousand million

// What the pair has in common, in words that say no more than is known.
std::string kinship(const HiddenAlignment& found) {
    const HiddenReport& report = found.report;
    const auto agreement = [&](const HiddenReport::Identity& identity, const char* what) {
        return std::to_string(identity.agreeing) + " of " + std::to_string(identity.of) + " " + what +
               " stand where the identity has them; an independent model, whose gauge is as likely any other, would "
               "agree on so many with a chance of " +
               chance(identity) + "\n";
    };
    std::string text = agreement(report.channelIdentity, "channels") + agreement(report.neuronIdentity, "neurons");
    const bool places =
        report.channelIdentity.log10Chance < beyondChance || report.neuronIdentity.log10Chance < beyondChance;
    const Overall sure = sureOverall(report);
    if (places)
        text += "TARGET shares a training history with SOURCE.\n";
    else if (sure.neurons > 0.5)
        text +=
            "TARGET shares a training history with SOURCE, in other places: independent models have no sure neurons, "
            "measured on tiny random models only.\n";
    else
        text += "Nothing here says that TARGET shares a training history with SOURCE.\n";
    return text;
}

Json identityJson(const HiddenReport::Identity& identity) {
    return {{"agreeing", identity.agreeing}, {"of", identity.of}, {"log10_chance", identity.log10Chance}};
}

}  // namespace

std::string hiddenLine(const HiddenGauge& hidden) {
    const HiddenShape& shape = hidden.shape();
    return "hidden: " + std::to_string(shape.layers) + " layers of " + std::to_string(shape.neurons) + " neurons and " +
           std::to_string(shape.heads) + " heads in " + std::to_string(shape.kvHeads) + " groups" +
           (hidden.isIdentity() ? "; all in their places" : "") + "; fingerprint " + hidden.fingerprint() + "\n";
}

std::string hiddenText(const HiddenAlignment& found) {
    const HiddenReport& report = found.report;
    std::string text = hiddenLine(found.hidden) + "layer  neurons sure  heads sure  explained\n";
    for (std::size_t l = 0; l < report.layers.size(); ++l) {
        const HiddenReport::Layer& layer = report.layers[l];
        char line[80];
        std::snprintf(line, sizeof line, "%5zu  %12s  %10s  %9s\n", l, percent(layer.neuronsSure).c_str(),
                      percent(layer.headsSure).c_str(), percent(layer.explained).c_str());
        text += line;
    }
    const Overall all = sureOverall(report);
    return text + "all    " + percent(all.neurons) + " of the neurons and " + percent(all.heads) +
           " of the heads are sure; the rest are undetermined. SOURCE's weights explain " + percent(report.explained) +
           " of TARGET's.\n" + kinship(found);
}

std::string hiddenJson(const HiddenAlignment& found) {
    const std::string summary = summaryJson(found.residual);
    Json json = Json::parse(std::string_view(summary));
    const HiddenReport& report = found.report;
    const Overall all = sureOverall(report);
    Json layers = Json::array();
    for (const HiddenReport::Layer& layer : report.layers)
        layers.push_back({{"neurons_sure", layer.neuronsSure},
                          {"heads_sure", layer.headsSure},
                          {"explained", layer.explained},
                          {"neuron_agreement", layer.neuronAgreement},
                          {"head_agreement", layer.headAgreement}});
    json["hidden"] = {{"fingerprint", found.hidden.fingerprint()},
                      {"identity", found.hidden.isIdentity()},
                      {"rounds", report.rounds},
                      {"start", report.start},
                      {"measure", report.measure},
                      {"neurons_sure", all.neurons},
                      {"heads_sure", all.heads},
                      {"explained", report.explained},
                      {"identity_channels", identityJson(report.channelIdentity)},
                      {"identity_neurons", identityJson(report.neuronIdentity)},
                      {"layers", std::move(layers)}};
    return jsonText(json) + "\n";
}

}  // namespace regauge

#include "hidden_words.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "summary.hpp"

namespace regauge {
namespace {

std::string line(const HiddenGauge& hidden) {
    const HiddenShape& shape = hidden.shape();
    return "hidden: " + std::to_string(shape.layers) + " layers of " + std::to_string(shape.neurons) + " neurons and " +
           std::to_string(shape.heads) + " heads in " + std::to_string(shape.kvHeads) + " groups" +
           (hidden.isIdentity() ? "; all in their places" : "") + "; fingerprint " + hidden.fingerprint() + "\n";
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
    if (places)
        text += "TARGET shares a training history with SOURCE.\n";
    else if (sureUnits(found.hidden).neurons.value_or(0) > 0.5)
        text +=
            "TARGET shares a training history with SOURCE, in other places: independent models have no sure neurons, "
            "measured on tiny random models only.\n";
    else
        text += "Nothing here says that TARGET shares a training history with SOURCE.\n";
    return text;
}

}  // namespace

SureUnits sureUnits(const HiddenGauge& hidden) {
    return {shareSure(hidden.layers(), &HiddenLayer::neuronScores),
            shareSure(hidden.layers(), &HiddenLayer::headScores)};
}

std::string summaryText(const GaugeFile& gauge) {
    return summaryText(gauge.residual) + (gauge.hidden ? line(*gauge.hidden) : "");
}

std::string hiddenText(const HiddenAlignment& found) {
    const HiddenReport& report = found.report;
    std::string text = line(found.hidden) + "layer  neurons sure  heads sure  explained\n";
    for (std::size_t l = 0; l < report.layers.size(); ++l) {
        const HiddenReport::Layer& layer = report.layers[l];
        char row[80];
        std::snprintf(row, sizeof row, "%5zu  %12s  %10s  %9s\n", l, percent(layer.neuronsSure).c_str(),
                      percent(layer.headsSure).c_str(), percent(layer.explained).c_str());
        text += row;
    }
    const SureUnits sure = sureUnits(found.hidden);
    return text + "all    " + percent(sure.neurons.value_or(0)) + " of the neurons and " +
           percent(sure.heads.value_or(0)) +
           " of the heads are sure; the rest are undetermined. SOURCE's weights explain " + percent(report.explained) +
           " of TARGET's.\n" + kinship(found);
}

}  // namespace regauge

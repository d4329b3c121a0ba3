// The hidden part of a gauge in JSON: of any gauge's summary, and of what `align --hidden` found.
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "hidden_words.hpp"
#include "io/json_text.hpp"
#include "regauge/reports.hpp"

namespace regauge {
namespace {

using Json = nlohmann::ordered_json;

Json partJson(const HiddenGauge& hidden) {
    const HiddenShape& shape = hidden.shape();
    Json part{{"fingerprint", hidden.fingerprint()},
              {"identity", hidden.isIdentity()},
              {"shape",
               {{"layers", shape.layers},
                {"neurons", shape.neurons},
                {"heads", shape.heads},
                {"kv_heads", shape.kvHeads},
                {"head_dim", shape.headDim},
                {"rope_pairs", shape.pairs}}}};
    const SureUnits sure = sureUnits(hidden);
    part["neurons_sure"] = sure.neurons ? Json(*sure.neurons) : Json(nullptr);
    part["heads_sure"] = sure.heads ? Json(*sure.heads) : Json(nullptr);
    return part;
}

Json identityJson(const HiddenReport::Identity& identity) {
    // To a millionth: the logarithms of two systems differ in their last bits.
    const double chance = std::round(identity.log10Chance * 1e6) / 1e6;
    return {{"agreeing", identity.agreeing}, {"of", identity.of}, {"log10_chance", chance == 0 ? 0 : chance}};
}

// A parser of the one kind of text that there is: each kind is 10 KB of wasm.
Json parsed(const std::string& text) { return Json::parse(std::string_view(text)); }

}  // namespace

std::string summaryJson(const GaugeFile& gauge) {
    std::string summary = summaryJson(gauge.residual);
    if (!gauge.hidden) return summary;
    Json json = parsed(summary);
    json["hidden"] = partJson(*gauge.hidden);
    return jsonText(json) + "\n";
}

std::string hiddenJson(const HiddenAlignment& found) {
    const HiddenReport& report = found.report;
    Json part = partJson(found.hidden);
    part["rounds"] = report.rounds;
    part["start"] = report.start;
    part["measure"] = report.measure;
    part["explained"] = report.explained;
    part["identity_channels"] = identityJson(report.channelIdentity);
    part["identity_neurons"] = identityJson(report.neuronIdentity);
    Json& layers = part["layers"] = Json::array();
    for (const HiddenReport::Layer& layer : report.layers)
        layers.push_back({{"neurons_sure", layer.neuronsSure},
                          {"heads_sure", layer.headsSure},
                          {"explained", layer.explained},
                          {"neuron_agreement", layer.neuronAgreement},
                          {"head_agreement", layer.headAgreement}});
    Json json = parsed(summaryJson(found.residual));
    json["hidden"] = std::move(part);
    return jsonText(json) + "\n";
}

}  // namespace regauge

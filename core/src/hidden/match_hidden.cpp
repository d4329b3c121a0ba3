// Matching of hidden units where the residual gauge is known, layer by layer.
#include <algorithm>

#include "hidden/choose.hpp"
#include "hidden/fit.hpp"
#include "hidden/kinship.hpp"
#include "hidden/match_hidden.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// A perfect pair's total(): cosines of gate, up and down; of the products of query and key and of value and output.
constexpr double bestNeuron = 3, bestHead = 2;

void requireWidth(const HiddenCheckpoint& target, const Gauge& residual) {
    if (residual.d() != target.config().d)
        throw Error(ErrorCode::dimensionMismatch, target.path(),
                    "has width " + std::to_string(target.config().d) +
                        ", and the residual gauge is of d = " + std::to_string(residual.d()));
}

double meanOf(const std::vector<bool>& flags) {
    return flags.empty() ? 0 : static_cast<double>(std::ranges::count(flags, true)) / static_cast<double>(flags.size());
}

double sureOf(const HiddenLayer& layer, HiddenScores HiddenLayer::*kind) {
    return shareSure(std::span(&layer, 1), kind).value_or(0);
}

}  // namespace

std::optional<double> shareSure(std::span<const HiddenLayer> layers, HiddenScores HiddenLayer::*kind) {
    std::size_t count = 0, of = 0;
    for (const HiddenLayer& layer : layers)
        for (const double confidence : (layer.*kind).confidence) ++of, count += confidence >= sureHidden ? 1 : 0;
    if (of == 0) return std::nullopt;
    return static_cast<double>(count) / static_cast<double>(of);
}

void requireSameArchitecture(const HiddenCheckpoint& source, const HiddenCheckpoint& target) {
    const auto words = [](const HiddenCheckpoint& model) {
        const HiddenShape& shape = model.shape();
        return std::to_string(shape.layers) + " layers, " + std::to_string(shape.neurons) + " neurons, " +
               std::to_string(shape.heads) + " heads in " + std::to_string(shape.kvHeads) + " groups of width " +
               std::to_string(shape.headDim);
    };
    if (!(source.shape() == target.shape()) || source.config().d != target.config().d ||
        source.config().modelType != target.config().modelType)
        throw Error(ErrorCode::dimensionMismatch, target.path(),
                    "is " + target.config().modelType + " with " + words(target) + ", and " + source.path() + " is " +
                        source.config().modelType + " with " + words(source) +
                        "; hidden units are matched between models of one architecture");
    requireReadable(target.shape(), target.path());
}

HiddenMatch matchLayers(const HiddenCheckpoint& source, const HiddenCheckpoint& target, const Gauge& residual,
                        unsigned threads, const Progress& progress) {
    requireSameArchitecture(source, target);
    requireWidth(target, residual);
    const HiddenShape& shape = target.shape();
    std::vector<HiddenLayer> layers;
    std::vector<Chosen> heads;
    HiddenMatch match{HiddenGauge::identity(shape), {}};
    Explained all;
    double scores = 0, units = 0;
    for (std::size_t l = 0; l < shape.layers; ++l) {
        progress.report("matching heads and neurons", l, shape.layers);
        const LayerRows a = layerRows(source, l, &residual), b = layerRows(target, l, nullptr);
        const NeuronScores neurons = neuronScores(a, b, threads);
        const Chosen chosen = chooseUnits(neurons.scores, bestNeuron, progress);
        HiddenLayer layer;
        layer.neurons = chosen.source;
        for (std::size_t i = 0; i < shape.neurons; ++i)
            layer.neuronSign.push_back(neurons.sign[i * shape.neurons + chosen.source[i]]);
        layer.neuronScores = {chosen.score, chosen.margin, confidences({&chosen}).front()};
        heads.push_back(chooseGrouped(headScores(shape, a, b, threads), bestHead, shape.perGroup()));
        const Chosen& head = heads.back();
        layer.heads = head.source;
        for (std::size_t g = 0; g < shape.kvHeads; ++g)
            layer.kvHeads.push_back(head.source[g * shape.perGroup()] / static_cast<std::uint32_t>(shape.perGroup()));
        fitContinuous(shape, a, b, target.config().headNorms || target.config().projectionNorms, layer);

        const Explained explained = explainedBy(shape, layer, a, b);
        all.explained += explained.explained, all.total += explained.total;
        match.report.layers.push_back({sureOf(layer, &HiddenLayer::neuronScores), 0, explained.share(),
                                       meanOf(chosen.agree), meanOf(head.agree)});
        for (const double score : chosen.score) scores += score;
        for (const double score : head.score) scores += score;
        units += static_cast<double>(shape.neurons + shape.heads);
        layers.push_back(std::move(layer));
    }
    std::vector<const Chosen*> together;
    for (const Chosen& head : heads) together.push_back(&head);
    const std::vector<std::vector<double>> sure = confidences(together);
    for (std::size_t l = 0; l < shape.layers; ++l) {
        layers[l].headScores = {heads[l].score, heads[l].margin, sure[l]};
        match.report.layers[l].headsSure = sureOf(layers[l], &HiddenLayer::headScores);
    }
    match.report.rounds = 1;
    match.report.explained = all.share();
    match.report.measure = match.report.start = units > 0 ? scores / units : 0;
    match.gauge = HiddenGauge(shape, std::move(layers));
    match.report.neuronIdentity = neuronIdentity(match.gauge);
    progress.report("matching heads and neurons", shape.layers, shape.layers);
    return match;
}

HiddenGauge matchHidden(const Files& files, const std::string& source, const std::string& target, const Gauge& residual,
                        unsigned threads, HiddenReport* report, const Progress& progress) {
    HiddenMatch match =
        matchLayers(HiddenCheckpoint(files, source), HiddenCheckpoint(files, target), residual, threads, progress);
    if (report != nullptr) *report = std::move(match.report);
    return std::move(match.gauge);
}

}  // namespace regauge

#include <algorithm>

#include "model/weights.hpp"
#include "regauge/error.hpp"
#include "regauge/io/safetensors_writer.hpp"

namespace regauge {

void writeActivations(const Model& model, const std::vector<std::vector<std::int64_t>>& sequences, ByteSink& out,
                      const Progress& progress) {
    const ModelConfig& config = model.config();
    std::vector<std::int64_t> tokens;
    for (const auto& sequence : sequences) tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    const std::size_t places = config.layers + 1;
    if (tokens.size() * config.d > (std::size_t{1} << 29) / places)
        throw Error(ErrorCode::tooLarge, "",
                    std::to_string(tokens.size()) + " tokens at " + std::to_string(places) +
                        " places of d = " + std::to_string(config.d) + " need more than 2 GiB; give fewer tokens");

    std::vector<std::vector<float>> residuals(places, std::vector<float>(tokens.size() * config.d));
    std::size_t row = 0;
    for (std::size_t k = 0; k < sequences.size(); ++k) {
        progress.report("sampling activations", k, sequences.size());
        model.read(sequences[k], [&](std::size_t place, std::span<float> residual) {
            std::ranges::copy(residual, residuals[place].begin() + static_cast<std::ptrdiff_t>(row * config.d));
        });
        row += sequences[k].size();
    }

    std::vector<NewTensor> tensors;
    const auto add = [&](const std::string& name, const std::vector<float>& values, Shape shape) {
        if (!values.empty()) tensors.push_back({name, Dtype::F32, std::move(shape), std::as_bytes(std::span(values))});
    };
    for (std::size_t place = 0; place < places; ++place)
        add("activations/resid." + std::to_string(place), residuals[place], {tokens.size(), config.d});
    model.forEachGain(
        [&](const std::string& name, const std::vector<float>& gain) { add("gains/" + name, gain, {config.d}); });
    tensors.push_back({"token_ids", Dtype::I64, {tokens.size()}, std::as_bytes(std::span(tokens))});
    writeSafetensors(tensors, {{"format", "pt"}}, out);
}

void Model::forEachGain(const std::function<void(const std::string&, const std::vector<float>&)>& visit) const {
    for (std::size_t index = 0; index < weights_->layers.size(); ++index) {
        const Layer& layer = weights_->layers[index];
        const std::string at = "." + std::to_string(index);
        visit("attn" + at, layer.inputNorm);
        visit("post_attn" + at, layer.postAttentionNorm);
        visit("mlp" + at, layer.preMlpNorm);
        visit("post_mlp" + at, layer.postMlpNorm);
    }
    visit("final", weights_->finalNorm);
}

}  // namespace regauge

#include <algorithm>
#include <cmath>
#include <string>

#include "model/weights.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// y = x W + b for each of the rows of x: [tokens, in] -> [tokens, out].
std::vector<float> multiply(std::span<const float> x, const Linear& linear) {
    const std::size_t tokens = x.size() / linear.in;
    std::vector<float> y(tokens * linear.out, 0.0F);
    for (std::size_t t = 0; t < tokens; ++t) {
        float* row = &y[t * linear.out];
        if (!linear.bias.empty()) std::copy(linear.bias.begin(), linear.bias.end(), row);
        for (std::size_t k = 0; k < linear.in; ++k) {
            const float factor = x[t * linear.in + k];
            const float* weight = &linear.weight[k * linear.out];
            for (std::size_t o = 0; o < linear.out; ++o) row[o] += factor * weight[o];
        }
    }
    return y;
}

// RMSNorm of consecutive runs of gain.size() values, in place.
void normalise(std::span<float> x, const std::vector<float>& gain, double eps) {
    for (std::size_t at = 0; at < x.size(); at += gain.size()) {
        double sum = 0;
        for (std::size_t k = 0; k < gain.size(); ++k) sum += static_cast<double>(x[at + k]) * x[at + k];
        const auto scale = static_cast<float>(1 / std::sqrt(sum / static_cast<double>(gain.size()) + eps));
        for (std::size_t k = 0; k < gain.size(); ++k) x[at + k] *= scale * gain[k];
    }
}

std::vector<float> normalised(std::span<const float> x, const std::vector<float>& gain, double eps) {
    std::vector<float> y(x.begin(), x.end());
    if (!gain.empty()) normalise(y, gain, eps);
    return y;
}

void add(std::span<float> x, std::span<const float> y) {
    for (std::size_t k = 0; k < x.size(); ++k) x[k] += y[k];
}

// Rotates the first 2 * frequencies of every head: the pairs are (k, k + frequencies), "half-split" as Hugging Face
// stores the rows.
// first: the position of the first token.
void rotate(std::span<float> x, std::size_t headDim, std::size_t perToken, std::size_t first,
            const ModelConfig::Rotary& rotary) {
    const std::size_t half = rotary.inverseFrequency.size();
    for (std::size_t t = 0; t * perToken < x.size(); ++t)
        for (std::size_t k = 0; k < half; ++k) {
            const double angle = static_cast<double>(first + t) * rotary.inverseFrequency[k];
            const auto c = static_cast<float>(std::cos(angle) * rotary.scale),
                       s = static_cast<float>(std::sin(angle) * rotary.scale);
            for (std::size_t head = t * perToken; head < (t + 1) * perToken; head += headDim) {
                const float a = x[head + k], b = x[head + half + k];
                x[head + k] = a * c - b * s;
                x[head + half + k] = b * c + a * s;
            }
        }
}

float softcap(float x, double cap) { return cap > 0 ? static_cast<float>(std::tanh(x / cap) * cap) : x; }

// Causal attention with grouped keys: q [tokens, heads, headDim], of the last tokens of k and v [all tokens, kvHeads,
// headDim] -> [tokens, heads, headDim].
std::vector<float> attend(const ModelConfig& config, std::size_t window, std::span<const float> q,
                          std::span<const float> k, std::span<const float> v) {
    const std::size_t width = config.heads * config.headDim, kvWidth = config.kvHeads * config.headDim;
    const std::size_t tokens = q.size() / width, all = k.size() / kvWidth;
    std::vector<float> out(q.size(), 0.0F), weight(all);
    for (std::size_t head = 0; head < config.heads; ++head) {
        const std::size_t kvHead = head / (config.heads / config.kvHeads);
        for (std::size_t t = 0; t < tokens; ++t) {
            const std::size_t last = all - tokens + t;  // its own position
            const std::size_t first = window > 0 && last + 1 > window ? last + 1 - window : 0;
            const float* query = &q[t * width + head * config.headDim];
            float largest = -INFINITY;
            for (std::size_t s = first; s <= last; ++s) {
                const float* key = &k[s * kvWidth + kvHead * config.headDim];
                float dot = 0;
                for (std::size_t c = 0; c < config.headDim; ++c) dot += query[c] * key[c];
                weight[s] = softcap(dot * static_cast<float>(config.queryScale), config.attentionSoftcap);
                largest = std::max(largest, weight[s]);
            }
            float sum = 0;
            for (std::size_t s = first; s <= last; ++s) sum += weight[s] = std::exp(weight[s] - largest);
            float* result = &out[t * width + head * config.headDim];
            for (std::size_t s = first; s <= last; ++s) {
                const float share = weight[s] / sum;
                const float* value = &v[s * kvWidth + kvHead * config.headDim];
                for (std::size_t c = 0; c < config.headDim; ++c) result[c] += share * value[c];
            }
        }
    }
    return out;
}

float activate(float x, ModelConfig::Activation activation) {
    switch (activation) {
        case ModelConfig::Activation::silu: return x / (1 + std::exp(-x));
        case ModelConfig::Activation::geluTanh:
            return 0.5F * x * (1 + std::tanh(0.7978845608F * (x + 0.044715F * x * x * x)));
        case ModelConfig::Activation::gelu: return 0.5F * x * (1 + std::erf(x * 0.7071067812F));
    }
    return x;
}

// Appends the keys and values of x to those before.
std::vector<float> attention(const ModelConfig& config, const Layer& layer, std::size_t index, std::span<const float> x,
                             Model::Past& past) {
    std::vector<float> q = multiply(x, layer.query), k = multiply(x, layer.key);
    const std::vector<float> v = multiply(x, layer.value);
    if (!layer.queryNorm.empty())
        normalise(q, layer.queryNorm, config.normEps), normalise(k, layer.keyNorm, config.normEps);
    rotate(q, config.headDim, config.heads * config.headDim, past.tokens, config.rotary[index]);
    rotate(k, config.headDim, config.kvHeads * config.headDim, past.tokens, config.rotary[index]);
    past.keys[index].insert(past.keys[index].end(), k.begin(), k.end());
    past.values[index].insert(past.values[index].end(), v.begin(), v.end());
    return multiply(attend(config, config.window[index], q, past.keys[index], past.values[index]), layer.output);
}

std::vector<float> mlp(const ModelConfig& config, const Layer& layer, std::span<const float> x) {
    std::vector<float> gate = multiply(x, layer.gate);
    const std::vector<float> up = multiply(x, layer.up);
    for (std::size_t k = 0; k < gate.size(); ++k) gate[k] = activate(gate[k], config.activation) * up[k];
    return multiply(gate, layer.down);
}

}  // namespace

std::vector<float> Model::logits(std::span<const std::int64_t> tokens, const ResidualHook& hook) const {
    Past past;
    return logits(tokens, past, hook);
}

void Model::read(std::span<const std::int64_t> tokens, const ResidualHook& hook) const {
    Past none;
    residualAfter(tokens, none, hook);
}

std::vector<float> Model::logits(std::span<const std::int64_t> tokens, Past& past, const ResidualHook& hook) const {
    const ModelConfig& config = weights_->config;
    if (!weights_->head)
        throw Error(ErrorCode::malformed, weights_->path,
                    "the tensor 'lm_head.weight' is missing, and config.json says \"tie_word_embeddings\": false");
    std::vector<float> residual = residualAfter(tokens, past, hook);
    normalise(residual, weights_->finalNorm, config.normEps);
    std::vector<float> logits = multiply(residual, *weights_->head);
    if (config.logitSoftcap > 0)
        for (float& logit : logits) logit = softcap(logit, config.logitSoftcap);
    return logits;
}

// What the last layer put out, and the final norm has yet to read.
std::vector<float> Model::residualAfter(std::span<const std::int64_t> tokens, Past& past,
                                        const ResidualHook& hook) const {
    const ModelConfig& config = weights_->config;
    past.keys.resize(config.layers);
    past.values.resize(config.layers);
    std::vector<float> residual(tokens.size() * config.d);
    for (std::size_t t = 0; t < tokens.size(); ++t) {
        if (tokens[t] < 0 || static_cast<std::uint64_t>(tokens[t]) >= config.vocabulary)
            throw Error(ErrorCode::usage, "",
                        "token " + std::to_string(tokens[t]) + " at position " + std::to_string(t) +
                            " is beyond the vocabulary of " + std::to_string(config.vocabulary));
        for (std::size_t k = 0; k < config.d; ++k)
            residual[t * config.d + k] = weights_->embedding[static_cast<std::size_t>(tokens[t]) * config.d + k] *
                                         static_cast<float>(config.embeddingScale);
    }
    if (hook) hook(0, residual);
    for (std::size_t index = 0; index < weights_->layers.size(); ++index) {
        const Layer& layer = weights_->layers[index];
        std::vector<float> update =
            attention(config, layer, index, normalised(residual, layer.inputNorm, config.normEps), past);
        if (!layer.postAttentionNorm.empty()) normalise(update, layer.postAttentionNorm, config.normEps);
        add(residual, update);
        update = mlp(config, layer, normalised(residual, layer.preMlpNorm, config.normEps));
        if (!layer.postMlpNorm.empty()) normalise(update, layer.postMlpNorm, config.normEps);
        add(residual, update);
        if (hook) hook(index + 1, residual);
    }
    past.tokens += tokens.size();
    return residual;
}

}  // namespace regauge

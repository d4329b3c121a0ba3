// A model's weights in float32, matrices transposed to [in, out] so that one row of x times a matrix reads it in order.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "regauge/model.hpp"

namespace regauge {

struct Linear {
    std::size_t in = 0, out = 0;
    std::vector<float> weight;  // [in, out]
    std::vector<float> bias;    // [out], or empty
};

struct Layer {
    std::vector<float> inputNorm, postAttentionNorm, preMlpNorm, postMlpNorm;  // empty where the family has none
    std::vector<float> queryNorm, keyNorm;
    Linear query, key, value, output, gate, up, down;
};

struct Model::Weights {
    ModelConfig config;
    std::vector<float> embedding;  // [vocabulary, d]
    std::vector<Layer> layers;
    std::vector<float> finalNorm;
    std::optional<Linear> head;  // [d, vocabulary]
    std::string path;            // for messages
};

}  // namespace regauge

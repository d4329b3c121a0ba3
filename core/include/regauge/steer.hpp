// Steering: a vector added to the residual stream of a small model, what it does there, and what is left of that in
// another model's coordinates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/gauge.hpp"
#include "regauge/model.hpp"
#include "regauge/progress.hpp"

namespace regauge {

// residual[t] += strength * vector at one place, for every token t.
struct Steering {
    std::size_t place = 0;      // as Model::ResidualHook counts: 0 the embedding, l what layer l - 1 put out
    std::vector<float> vector;  // [d]; empty: no steering
    double strength = 1;
};
// The hook that does it. Throws Error: dimensionMismatch (the vector is not of the model's width), usage (the strength,
// or the vector times it, is beyond float32).
Model::ResidualHook hookOf(const Steering& steering, const ModelConfig& config);

// "resid.2" -> 2. Throws Error(usage) where it is no place of the model.
std::size_t placeOf(std::string_view site, const ModelConfig& config);

// One vector of an object, in any container that transport knows. row: which, in the file's own order; needed where
// there are several. Throws Error: usage (there are several, and no row says which; there is no such row),
// dimensionMismatch, and those of audit.
std::vector<float> readSteeringVector(const Files& files, const std::string& object, std::size_t d,
                                      std::optional<std::size_t> row = {});

struct GenerateOptions {
    std::size_t length = 40;  // tokens to add
    double temperature = 0;   // 0: the most likely token each time (the first of equals)
    std::uint64_t seed = 0;   // of the sampling; one random number a token, so that two models are asked alike
};

struct Continuation {
    std::vector<std::int64_t> tokens;
    std::vector<double> logProbabilities;  // of each, in nats, at temperature 1
};

// Continues the prompt; every token, those of the prompt too, passes the hook. Throws Error: usage (an empty prompt, a
// token beyond the vocabulary, a temperature that is negative or not finite), cancelled, and those of Model::logits.
Continuation generate(const Model& model, std::span<const std::int64_t> prompt, const Model::ResidualHook& hook = {},
                      const GenerateOptions& options = {}, const Progress& progress = {});

struct SteerOptions {
    std::string site;  // "resid.2"
    double strength = 1;
    std::size_t promoted = 10;  // how many tokens stand for what the vector promotes
    GenerateOptions generate;
};

// The same prompt in both models, with the vector and without.
struct SteerReport {
    std::size_t place = 0;
    double strength = 0;
    std::uint64_t positions = 0;  // over which effects are means
    // The tokens whose log-probability the vector raises most in the source, the largest rise first; in nats.
    struct Promoted {
        std::int64_t token = 0;
        double rise = 0;
    };
    std::vector<Promoted> promoted;
    struct Arm {
        std::string name;  // source, source-steered, target, target-moved, target-permuted, target-not-moved
        double effect =
            0;  // mean rise of the promoted tokens' log-probability over the same model without the vector, in nats
        double agreement = 0;  // Pearson's correlation, over the vocabulary, of the rises with those in the source; 0
                               // where nothing rises
        Continuation continuation;
    };
    std::vector<Arm> arms;  // in that order
};

// Adds strength * vector at the site of the source, and of the target: moved by the gauge, y[i] = sign[i] * x[perm[i]];
// moved by the permutation alone, y[i] = x[perm[i]]; and not moved, y = x. Effects are means over all positions of the
// prompt.
// Throws Error: usage (a site that either model has not), dimensionMismatch (vector, gauge, models, vocabularies),
// undeterminedSign, notFinite (logits: a smaller strength may do), and those of hookOf and generate.
SteerReport steer(const Model& source, const Model& target, std::span<const float> vector, const Gauge& gauge,
                  std::span<const std::int64_t> prompt, const SteerOptions& options = {},
                  const Progress& progress = {});

}  // namespace regauge

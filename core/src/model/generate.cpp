#include <algorithm>
#include <cmath>
#include <string>

#include "base/splitmix64.hpp"
#include "model/continue_past.hpp"
#include "model/log_probabilities.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

// The first token whose cumulative probability exceeds a random number.
std::size_t sample(std::span<const double> logProbability, double temperature, double random) {
    const double largest = *std::ranges::max_element(logProbability);
    const auto weight = [&](double value) { return std::exp((value - largest) / temperature); };
    double total = 0;
    for (const double value : logProbability) total += weight(value);
    double left = random * total;
    std::size_t chosen = 0;
    for (std::size_t token = 0; token < logProbability.size(); ++token) {
        const double share = weight(logProbability[token]);
        if (share > 0) chosen = token;  // where rounding leaves something over, the last that is possible
        left -= share;
        if (left < 0) break;
    }
    return chosen;
}

}  // namespace

Continuation continuePast(const Model& model, Model::Past& past, std::span<const float> logits,
                          const Model::ResidualHook& hook, const GenerateOptions& options, const Progress& progress) {
    if (!(options.temperature >= 0) || !std::isfinite(options.temperature))
        throw Error(ErrorCode::usage, "", "the temperature must be a number of 0 or more");
    Continuation continuation;
    std::uint64_t random = options.seed;
    std::vector<float> own;
    for (std::size_t step = 0; step < options.length; ++step) {
        progress.report("generating", step, options.length);
        if (step > 0) {
            own = model.logits(std::span(continuation.tokens).last(1), past, hook);
            logits = own;
        }
        const std::vector<double> likely = logProbabilities(logits);
        const std::size_t token = options.temperature > 0
                                      ? sample(likely, options.temperature, uniform(random))
                                      : static_cast<std::size_t>(std::ranges::max_element(likely) - likely.begin());
        continuation.tokens.push_back(static_cast<std::int64_t>(token));
        continuation.logProbabilities.push_back(likely[token]);
    }
    return continuation;
}

Continuation generate(const Model& model, std::span<const std::int64_t> prompt, const Model::ResidualHook& hook,
                      const GenerateOptions& options, const Progress& progress) {
    if (prompt.empty()) throw Error(ErrorCode::usage, "", "the prompt is empty; give at least one token");
    Model::Past past;
    const std::vector<float> logits = model.logits(prompt, past, hook);
    return continuePast(model, past, std::span(logits).last(model.config().vocabulary), hook, options, progress);
}

}  // namespace regauge

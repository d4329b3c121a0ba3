#include "objects.hpp"

#include <algorithm>

#include "corpus.hpp"

namespace regauge::experiments {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t saeStream = 0x5ae, promptSeed = 0x9907;

// Prompts of different lengths in one batch: filled up with spaces, which causal attention keeps from what comes
// before.
torch::Tensor padded(const std::vector<std::string>& prompts, std::size_t length) {
    std::vector<std::string> texts = prompts;
    for (std::string& text : texts) text.resize(length, ' ');
    return tokensOf(texts);
}

std::size_t longest(const std::vector<std::string>& prompts) {
    return std::ranges::max_element(prompts, {}, &std::string::size)->size();
}

torch::Tensor atLastByte(const torch::Tensor& values, const std::vector<std::string>& prompts) {
    std::vector<torch::Tensor> rows;
    for (std::size_t k = 0; k < prompts.size(); ++k)
        rows.push_back(values[static_cast<std::int64_t>(k)][static_cast<std::int64_t>(prompts[k].size()) - 1]);
    return torch::stack(rows);
}

torch::Tensor meanAtLastByte(const Llama& model, const std::vector<std::string>& prompts) {
    return atLastByte(model.residuals(padded(prompts, longest(prompts))).back(), prompts).mean(0);
}

// Logits at the last byte of each text, steered at the last byte of the prompt that it continues.
torch::Tensor steered(const Llama& model, const std::vector<std::string>& texts,
                      const std::vector<std::string>& prompts, const Steering& steering) {
    torch::NoGradGuard noGrad;
    torch::Tensor where =
        torch::zeros({static_cast<std::int64_t>(texts.size()), static_cast<std::int64_t>(longest(texts)), 1});
    for (std::size_t k = 0; k < prompts.size(); ++k)
        where[static_cast<std::int64_t>(k)][static_cast<std::int64_t>(prompts[k].size()) - 1] = steering.coefficient;
    const Llama::Hook add = [&](std::int64_t place, const torch::Tensor& x) {
        return steering.vector.defined() && place == model.shape().layers ? x + where * steering.vector : x;
    };
    return atLastByte(model.logits(padded(texts, longest(texts)), add), texts);
}

}  // namespace

torch::Tensor residualRows(const Llama& model, std::int64_t place, std::int64_t windows, std::uint64_t stream) {
    std::vector<torch::Tensor> parts;
    for (std::int64_t first = 0; first < windows; first += 16) {
        std::vector<std::string> texts;
        for (std::int64_t k = first; k < std::min(windows, first + 16); ++k)
            texts.push_back(window(seedOf({stream, static_cast<std::uint64_t>(k)}),
                                   static_cast<std::size_t>(model.shape().context)));
        parts.push_back(model.residuals(tokensOf(texts))[static_cast<std::size_t>(place)].flatten(0, 1));
    }
    return torch::cat(parts);
}

fs::path saeOf(const Settings& settings, std::int64_t seed) {
    const Point source = objectSource(settings, seed);
    return made(published(settings, source) / "sae", [&](const fs::path& aside) {
        const Llama model(settings.shape, published(settings, source));
        const torch::Tensor rows = residualRows(model, saePlace, settings.saeWindows, saeStream);
        saveSae(trainSae(rows, 4 * settings.shape.d, saeKept, settings.saeSteps,
                         seedOf({static_cast<std::uint64_t>(seed), saeStream})),
                aside, saePlace);
    });
}

fs::path vectorOf(const Settings& settings, std::int64_t seed, const std::string& what) {
    const fs::path folder = published(settings, objectSource(settings, seed));
    return made(folder / (what + ".safetensors"), [&](const fs::path& aside) {
        const Llama model(settings.shape, folder);
        const bool sentiment = what == "sentiment";
        const torch::Tensor plus = meanAtLastByte(model, sentiment ? reviewPrompts(Sentiment::positive, 96, promptSeed)
                                                                   : requestPrompts(true, true, promptSeed));
        const torch::Tensor minus = meanAtLastByte(model, sentiment ? reviewPrompts(Sentiment::negative, 96, promptSeed)
                                                                    : requestPrompts(false, true, promptSeed));
        writeTensors(aside, {{"vector", plus - minus}});
    });
}

torch::Tensor lastLogits(const Llama& model, const std::vector<std::string>& prompts, const Steering& steering) {
    return steered(model, prompts, prompts, steering);
}

double refusalRate(const Llama& model, const std::vector<std::string>& prompts, const Steering& steering) {
    std::vector<std::string> texts = prompts;
    for (std::size_t byte = 0; byte < refusalBeginning.size(); ++byte) {
        const torch::Tensor next = steered(model, texts, prompts, steering).argmax(-1);
        for (std::size_t k = 0; k < texts.size(); ++k)
            texts[k] += static_cast<char>(next[static_cast<std::int64_t>(k)].item<std::int64_t>());
    }
    const auto refused =
        std::ranges::count_if(texts, [](const std::string& text) { return text.ends_with(refusalBeginning); });
    return static_cast<double>(refused) / static_cast<double>(texts.size());
}

}  // namespace regauge::experiments

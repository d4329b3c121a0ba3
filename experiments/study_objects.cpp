// What moved objects are worth on the target: the SAE's reconstruction, and what the steering vectors still do.
#include <cmath>

#include "corpus.hpp"
#include "objects.hpp"
#include "regauge/audit.hpp"
#include "studies.hpp"

namespace regauge::experiments {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t testStream = 0x7e57;

Json pairHead(const Pair& pair) {
    return {{"pair", pair.name}, {"right", compare(pair.found.gauge, pair.truth).both}, {"estimate", pair.found.estimate}, {"verdict", std::string(name(pair.found.verdict))},
            {"permutation-only right", compare(pair.permutationOnly.gauge, pair.truth).both}};
}

torch::Tensor vectorIn(const fs::path& file) { return readTensors(file).front().second; }

// How far v and -v pull "good" from "bad" apart: mean of (logit g - logit b) with v less that with -v, halved.
double sentimentEffect(const Llama& model, const torch::Tensor& vector, double coefficient) {
    const std::vector<std::string> prompts = reviewPrompts(Sentiment::neutral, 64, 0xfeed);
    const auto odds = [&](double size) {
        const torch::Tensor logits = lastLogits(model, prompts, {vector, size});
        return (logits.select(-1, 'g') - logits.select(-1, 'b')).mean().item<double>();
    };
    return (odds(coefficient) - odds(-coefficient)) / 2;
}

}  // namespace

// {"own": NMSE at home, "pairs": [{pair, right, ..., "nmse": {mover: NMSE}, "truth": NMSE by the true gauge}]}
Json saeStudy(const Settings& settings, std::int64_t seed) {
    const fs::path sae = saeOf(settings, seed), work = scratch(settings, "sae", seed);
    const auto rowsOf = [&](const fs::path& folder) { return residualRows(Llama(settings.shape, folder), saePlace, 64, testStream); };
    Json result{{"own", loadSae(sae, saeKept).nmse(rowsOf(published(settings, objectSource(settings, seed))))}, {"pairs", Json::array()}};
    for (const Pair& pair : objectPairs(settings, seed)) {
        const torch::Tensor rows = rowsOf(pair.targetFolder);
        const auto movedBy = [&](const Alignment& gauge) {
            move(sae, gauge, work / "sae");
            return loadSae(work / "sae", saeKept).nmse(rows);
        };
        Json row = pairHead(pair);
        for (const Mover& mover : movers(pair.found, pair.permutationOnly)) row["nmse"][mover.name] = movedBy(mover.gauge);
        row["truth"] = movedBy(alignmentOf(pair.truth));
        result["pairs"].push_back(row);
    }
    return result;
}

// {"sentiment": {"coefficient", "own": effect, "pairs": [{pair, "effect": {mover}}]},
//  "refusal": {"coefficient", "own": {"harmful", "harmless", "harmful -", "harmless +"}, "pairs": [{pair, "plain": {...}, "rates": {mover: {"harmful -", "harmless +"}}}]},
//  "signs": {"sentiment": [effect kept by the right permutation without signs, one a random gauge]}}
Json steeringStudy(const Settings& settings, std::int64_t seed) {
    const fs::path work = scratch(settings, "steering", seed);
    const Llama source(settings.shape, published(settings, objectSource(settings, seed)));
    const fs::path sentiment = vectorOf(settings, seed, "sentiment"), refusal = vectorOf(settings, seed, "refusal");
    const std::vector<Pair> pairs = objectPairs(settings, seed);
    const auto movedBy = [&](const fs::path& object, const Alignment& gauge) {
        move(object, gauge, work / "vector.safetensors");
        return vectorIn(work / "vector.safetensors");
    };
    Json result;

    constexpr double pull = 0.5;
    const double own = sentimentEffect(source, vectorIn(sentiment), pull);
    result["sentiment"] = {{"coefficient", pull}, {"own", own}, {"pairs", Json::array()}};
    for (const Pair& pair : pairs) {
        const Llama target(settings.shape, pair.targetFolder);
        Json row = pairHead(pair);
        for (const Mover& mover : movers(pair.found, pair.permutationOnly)) row["effect"][mover.name] = sentimentEffect(target, movedBy(sentiment, mover.gauge), pull);
        result["sentiment"]["pairs"].push_back(row);
    }

    // The smallest coefficient that turns nine requests in ten on the source itself; the targets are not looked at.
    const std::vector<std::string> harmful = requestPrompts(true, false, 0xa5c), harmless = requestPrompts(false, false, 0xa5c);
    const torch::Tensor vector = vectorIn(refusal);
    double coefficient = 0;
    for (const double tried : {0.5, 0.75, 1.0, 1.5, 2.0, 3.0}) {
        coefficient = tried;
        if (refusalRate(source, harmless, {vector, tried}) >= 0.9 && refusalRate(source, harmful, {vector, -tried}) <= 0.1) break;
    }
    const auto rates = [&](const Llama& model, const torch::Tensor& v) {
        return Json{{"harmless +", refusalRate(model, harmless, {v, coefficient})}, {"harmful -", refusalRate(model, harmful, {v, -coefficient})},
                    {"harmful +", refusalRate(model, harmful, {v, coefficient})}, {"harmless -", refusalRate(model, harmless, {v, -coefficient})}};
    };
    const auto unsteered = [&](const Llama& model) { return Json{{"harmless", refusalRate(model, harmless)}, {"harmful", refusalRate(model, harmful)}}; };
    result["refusal"] = {{"coefficient", coefficient}, {"unsteered", unsteered(source)}, {"own", rates(source, vector)}, {"pairs", Json::array()}};
    for (const Pair& pair : pairs) {
        const Llama target(settings.shape, pair.targetFolder);
        Json row = pairHead(pair);
        row["unsteered"] = unsteered(target);
        for (const Mover& mover : movers(pair.found, pair.permutationOnly)) row["rates"][mover.name] = rates(target, movedBy(refusal, mover.gauge));
        result["refusal"]["pairs"].push_back(row);
    }

    // The right permutation without its signs, over random signs, seen from home: the same as flipping the vector's entries in the source.
    Random random(seedOf({static_cast<std::uint64_t>(seed), 0x5197}));
    const auto refusalOdds = [&](const torch::Tensor& v) {  // logit of 'I' less that of 'S', moved by v and by -v
        const auto odds = [&](double size) {
            const torch::Tensor logits = lastLogits(source, harmless, {v, size});
            return (logits.select(-1, 'I') - logits.select(-1, 'S')).mean().item<double>();
        };
        return (odds(pull) - odds(-pull)) / 2;
    };
    const double ownRefusal = refusalOdds(vector);
    for (int draw = 0; draw < settings.signDraws; ++draw) {
        std::vector<float> signs(static_cast<std::size_t>(settings.shape.d));
        for (float& s : signs) s = random.below(2) == 0 ? 1.0F : -1.0F;
        const torch::Tensor flips = torch::tensor(signs);
        result["signs"]["sentiment"].push_back(sentimentEffect(source, vectorIn(sentiment) * flips, pull) / own);
        result["signs"]["refusal"].push_back(refusalOdds(vector * flips) / ownRefusal);
    }
    return result;
}

// {"objects": [{object, "overlap": {moved, "not moved", low, high, chance}, "sign": {...}}], k, gauges}
Json sweepStudy(const Settings& settings, std::int64_t seed) {
    NativeFiles files;
    AuditOptions options;
    options.gauges = settings.sweepGauges;
    options.seed = static_cast<std::uint64_t>(seed);
    Json result{{"k", options.k}, {"gauges", options.gauges}, {"objects", Json::array()}};
    const fs::path work = scratch(settings, "sweep", seed);
    const Sae sae = loadSae(saeOf(settings, seed), saeKept);
    writeTensors(work / "decoder.safetensors", {{"vector", sae.decoder.slice(0, 0, 32)}});
    const Llama source(settings.shape, published(settings, objectSource(settings, seed)));
    writeTensors(work / "mean.safetensors", {{"vector", residualRows(source, saePlace, 64, testStream).mean(0)}});
    for (const auto& [name, file] : {std::pair<std::string, fs::path>{"sentiment vector", vectorOf(settings, seed, "sentiment")}, {"refusal vector", vectorOf(settings, seed, "refusal")},
                                     {"decoder rows of the SAE", work / "decoder.safetensors"}, {"mean activation", work / "mean.safetensors"}}) {
        const AuditReport report = audit(files, file.string(), std::nullopt, options);
        const auto spread = [](const std::optional<Spread>& moved, const std::optional<Spread>& notMoved, const std::optional<double>& chance) {
            return Json{{"moved", moved->mean}, {"not moved", notMoved->mean}, {"low", notMoved->low}, {"high", notMoved->high}, {"chance", chance.value_or(0)}};
        };
        result["objects"].push_back({{"object", name}, {"overlap", spread(report.moved.overlap, report.notMoved.overlap, report.chance.overlap)},
                                     {"sign", spread(report.moved.sign, report.notMoved.sign, report.chance.sign)}});
    }
    return result;
}

}  // namespace regauge::experiments

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
    return {{"pair", pair.name},
            {"right", compare(pair.found.gauge, pair.truth).both},
            {"estimate", pair.found.estimate},
            {"verdict", std::string(name(pair.found.verdict))},
            {"permutation-only right", compare(pair.permutationOnly.gauge, pair.truth).both}};
}

torch::Tensor vectorIn(const fs::path& file) { return readTensors(file).front().second; }

// How far v and -v pull two next bytes apart: mean of (logit plus - logit minus) with v less that with -v, halved.
double oddsMoved(const Llama& model, const std::vector<std::string>& prompts, char plus, char minus,
                 const Steering& steering) {
    const auto odds = [&](double coefficient) {
        const torch::Tensor logits = lastLogits(model, prompts, {steering.vector, coefficient});
        return (logits.select(-1, plus) - logits.select(-1, minus)).mean().item<double>();
    };
    return (odds(steering.coefficient) - odds(-steering.coefficient)) / 2;
}

double sentimentEffect(const Llama& model, const Steering& steering) {
    return oddsMoved(model, reviewPrompts(Sentiment::neutral, 64, 0xfeed), 'g', 'b', steering);
}

// Refused requests of four kinds: the vector added to ("+") or taken from ("-") harmless and harmful ones.
Json refusals(const Llama& model, const Steering& steering) {
    Json rates;
    for (const bool harmful : {false, true})
        for (const bool added : {true, false})
            rates[std::string(harmful ? "harmful " : "harmless ") + (added ? "+" : "-")] =
                refusalRate(model, requestPrompts(harmful, false, 0xa5c),
                            {steering.vector, added ? steering.coefficient : -steering.coefficient});
    return rates;
}

// The smallest coefficient that turns nine requests in ten on the source itself; the targets are not looked at.
double refusalCoefficient(const Llama& source, const torch::Tensor& vector) {
    double coefficient = 0;
    for (const double tried : {0.5, 0.75, 1.0, 1.5, 2.0, 3.0}) {
        coefficient = tried;
        const Json rates = refusals(source, {vector, tried});
        if (rates["harmless +"] >= 0.9 && rates["harmful -"] <= 0.1) break;
    }
    return coefficient;
}

}  // namespace

// {"own": NMSE at home, "pairs": [{pair, right, ..., "nmse": {mover: NMSE}, "truth": NMSE by the true gauge}]}
Json saeStudy(const Settings& settings, std::int64_t seed) {
    const fs::path sae = saeOf(settings, seed), work = scratch(settings, "sae", seed);
    const auto rowsOf = [&](const fs::path& folder) {
        return residualRows(Llama(settings.shape, folder), saePlace, 64, testStream);
    };
    Json result{{"own", loadSae(sae, saeKept).nmse(rowsOf(published(settings, objectSource(settings, seed))))},
                {"pairs", Json::array()}};
    for (const Pair& pair : objectPairs(settings, seed)) {
        const torch::Tensor rows = rowsOf(pair.targetFolder);
        const auto movedBy = [&](const Alignment& gauge) {
            move(sae, gauge, work / "sae");
            return loadSae(work / "sae", saeKept).nmse(rows);
        };
        Json row = pairHead(pair);
        for (const Mover& mover : movers(pair.found, pair.permutationOnly))
            row["nmse"][mover.name] = movedBy(mover.gauge);
        row["truth"] = movedBy(alignmentOf(pair.truth));
        result["pairs"].push_back(row);
    }
    return result;
}

// {"sentiment": {coefficient, "own": effect, "pairs": [{pair, ..., "effect": {mover}}]},
//  "refusal": {coefficient, "unsteered": {"harmless", "harmful"}, "own": rates, "pairs": [{pair, ..., unsteered,
//  "rates": {mover: rates}}]}, "signs": [{positive, mover, right, "sentiment": share of the effect kept, "refusal":
//  rates}]}, rates as refusals() gives them.
Json steeringStudy(const Settings& settings, std::int64_t seed) {
    const fs::path work = scratch(settings, "steering", seed);
    const Point home = objectSource(settings, seed);
    const Llama source(settings.shape, published(settings, home));
    const fs::path sentimentFile = vectorOf(settings, seed, "sentiment"),
                   refusalFile = vectorOf(settings, seed, "refusal");
    const torch::Tensor sentiment = vectorIn(sentimentFile), refusal = vectorIn(refusalFile);
    constexpr double pull = 0.5;  // the sentiment vector's coefficient
    const double own = sentimentEffect(source, {sentiment, pull}), coefficient = refusalCoefficient(source, refusal);

    const auto movedBy = [&](const fs::path& object, const Alignment& gauge) {
        move(object, gauge, work / "vector.safetensors");
        return vectorIn(work / "vector.safetensors");
    };
    const auto unsteered = [&](const Llama& model) {
        return Json{{"harmless", refusalRate(model, requestPrompts(false, false, 0xa5c))},
                    {"harmful", refusalRate(model, requestPrompts(true, false, 0xa5c))}};
    };
    Json result{{"sentiment", {{"coefficient", pull}, {"own", own}, {"pairs", Json::array()}}},
                {"refusal",
                 {{"coefficient", coefficient},
                  {"unsteered", unsteered(source)},
                  {"own", refusals(source, {refusal, coefficient})},
                  {"pairs", Json::array()}}},
                {"signs", Json::array()}};
    for (const Pair& pair : objectPairs(settings, seed)) {
        const Llama target(settings.shape, pair.targetFolder);
        Json pulled = pairHead(pair), refused = pulled;
        refused["unsteered"] = unsteered(target);
        for (const Mover& mover : movers(pair.found, pair.permutationOnly)) {
            pulled["effect"][mover.name] = sentimentEffect(target, {movedBy(sentimentFile, mover.gauge), pull});
            refused["rates"][mover.name] = refusals(target, {movedBy(refusalFile, mover.gauge), coefficient});
        }
        result["sentiment"]["pairs"].push_back(pulled);
        result["refusal"]["pairs"].push_back(refused);
    }

    // The same function in coordinates with a share of positive signs: what steers there, moved back home by the truth,
    // steers at home in the same way.
    Random random(seedOf({static_cast<std::uint64_t>(seed), 0x5197}));
    const auto seenFromHome = [](const torch::Tensor& vector, const Gauge& gauge) {
        return torch::tensor(apply(gauge, {vector.data_ptr<float>(), static_cast<std::size_t>(vector.numel())}));
    };
    for (const double positive : {0.0, 0.25, 0.5, 0.75, 1.0})
        for (int draw = 0; draw < settings.signDraws; ++draw) {
            const Gauge planted = randomGauge(static_cast<std::size_t>(settings.shape.d), positive, random);
            move(evidenceOf(settings, home), alignmentOf(planted), work / "target.safetensors");
            const std::string from = evidenceOf(settings, home), to = (work / "target.safetensors").string();
            for (const Mover& mover : movers(align(from, to), align(from, to, permutationOnly()))) {
                if (mover.name == "unmoved") continue;
                const Gauge round = mover.gauge.gauge.then(planted.inverse());
                result["signs"].push_back(
                    {{"positive", positive},
                     {"mover", mover.name},
                     {"right", compare(mover.gauge.gauge, planted).both},
                     {"sentiment", sentimentEffect(source, {seenFromHome(sentiment, round), pull}) / own},
                     {"refusal", refusals(source, {seenFromHome(refusal, round), coefficient})}});
            }
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
    for (const auto& [name, file] :
         {std::pair<std::string, fs::path>{"sentiment vector", vectorOf(settings, seed, "sentiment")},
          {"refusal vector", vectorOf(settings, seed, "refusal")},
          {"decoder rows of the SAE", work / "decoder.safetensors"},
          {"mean activation", work / "mean.safetensors"}}) {
        const AuditReport report = audit(files, file.string(), std::nullopt, options);
        const auto spread = [](const std::optional<Spread>& moved, const std::optional<Spread>& notMoved,
                               const std::optional<double>& chance) {
            return Json{{"moved", moved->mean},
                        {"not moved", notMoved->mean},
                        {"low", notMoved->low},
                        {"high", notMoved->high},
                        {"chance", chance.value_or(0)}};
        };
        result["objects"].push_back(
            {{"object", name},
             {"overlap", spread(report.moved.overlap, report.notMoved.overlap, report.chance.overlap)},
             {"sign", spread(report.moved.sign, report.notMoved.sign, report.chance.sign)}});
    }
    return result;
}

}  // namespace regauge::experiments

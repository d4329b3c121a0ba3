// What moved models and training states are worth: merging two runs, and going on training in other coordinates.
#include <cmath>

#include "corpus.hpp"
#include "regauge/merge.hpp"
#include "regauge/random_gauge.hpp"
#include "studies.hpp"

namespace regauge::experiments {
namespace fs = std::filesystem;
namespace {

double heldOutLoss(const Llama& model) {
    torch::NoGradGuard noGrad;
    std::vector<std::string> texts;
    for (std::uint64_t k = 0; k < 64; ++k)
        texts.push_back(window(seedOf({0x1055, k}), static_cast<std::size_t>(model.shape().context) + 1));
    return lossOf(model, tokensOf(texts)).item<double>();
}

// |theta' moved back - theta| over |theta - where both began|, over all parameters.
double distance(const Llama& back, const Llama& expected, const Llama& start) {
    double apart = 0, travelled = 0;
    for (std::size_t k = 0; k < expected.parameters().size(); ++k) {
        const auto entry = [&](const Llama& model) {
            return model.parameters()[k].second.detach().to(torch::kFloat64);
        };
        apart += (entry(back) - entry(expected)).pow(2).sum().item<double>();
        travelled += (entry(expected) - entry(start)).pow(2).sum().item<double>();
    }
    return std::sqrt(apart / travelled);
}

}  // namespace

// [{fork, "a", "b": losses of the two runs, right, verdict, "merged": {gauge: loss}}]
Json mergeStudy(const Settings& settings, std::int64_t seed) {
    const fs::path work = scratch(settings, "merge", seed);
    Json result = Json::array();
    for (const std::int64_t fork : settings.forks) {
        const Point a{{seed, fork, 'a'}, settings.schedule.steps}, b{{seed, fork, 'b'}, settings.schedule.steps};
        const Gauge right = truth(settings, b, a);
        const Alignment found = alignThrough(settings, chain(b, a, settings.evidenceEvery));
        const Alignment raw = align(evidenceOf(settings, b), evidenceOf(settings, a), permutationOnly());
        Json row{{"fork", fork},
                 {"a", heldOutLoss(Llama(settings.shape, published(settings, a)))},
                 {"b", heldOutLoss(Llama(settings.shape, published(settings, b)))},
                 {"right", compare(found.gauge, right).both},
                 {"verdict", std::string(name(found.verdict))},
                 {"merged", Json::object()}};
        std::vector<Mover> all = movers(found, raw);
        all.push_back({"true gauge", alignmentOf(right)});
        for (const Mover& mover : all) {
            // The files of the model alone: what lies beside them is no part of a merge.
            for (const auto& [point, side] : {std::pair{a, "a"}, std::pair{b, "b"}})
                for (const char* file : {"config.json", "model.safetensors"}) {
                    fs::create_directories(work / side);
                    fs::copy_file(published(settings, point) / file, work / side / file,
                                  fs::copy_options::overwrite_existing);
                }
            MergeOptions options;
            options.force = true;
            NativeFiles files;  // one for each job: the next one's inputs are other files of the same names
            merge(files, (work / "a").string(), (work / "b").string(), mover.gauge, (work / "merged").string(),
                  options);
            row["merged"][mover.name] = heldOutLoss(Llama(settings.shape, work / "merged"));
        }
        result.push_back(row);
    }
    return result;
}

// {"steps": [..], "distance": {what: [one a step]}, "loss": {what: mean loss of the last 20 steps}}: a run that goes on
// from a checkpoint, against the same checkpoint moved into other coordinates and trained on there with the same
// batches. Distances are measured at home.
Json resumeStudy(const Settings& settings, std::int64_t seed) {
    const fs::path work = scratch(settings, "resume", seed);
    const RunName run{seed, settings.forks.back(), 'a'};
    const std::int64_t first =
        settings.forks.back() + settings.checkpointEvery - settings.forks.back() % settings.checkpointEvery;
    const fs::path trained = folderOf(settings, run, first);
    const Gauge gauge = RandomGauges(seedOf({static_cast<std::uint64_t>(seed), 0xada3}))
                            .next(static_cast<std::size_t>(settings.shape.d));
    const Alignment there = alignmentOf(gauge), home = alignmentOf(gauge.inverse());
    fs::copy_file(trained / "config.json", work / "config.json", fs::copy_options::overwrite_existing);
    move(trained / "model.safetensors", there, work / "model.safetensors");
    for (const auto& [folder, file] : {std::pair{trained, "home.safetensors"}, std::pair{work, "there.safetensors"}})
        writeEvidence(work / file, Llama(settings.shape, folder), evidenceTokens(settings), Gauge::identity(gauge.d()));
    const std::string from = (work / "home.safetensors").string(), to = (work / "there.safetensors").string();
    const Alignment found = align(from, to), raw = align(from, to, permutationOnly());
    for (const Mover& mover : movers(found, raw))
        move(trained / "optimizer.pt", mover.gauge, work / (mover.name + ".pt"));

    std::vector<std::int64_t> steps;
    for (const std::int64_t step : {1, 2, 5, 10, 20, 50, 100, 150})
        if (step <= settings.resumeSteps) steps.push_back(step);
    const auto trajectory = [&](Trainer trainer, double& loss) {
        std::vector<Llama> models;
        for (std::int64_t step = 1; step <= steps.back(); ++step) {
            const double now = trainer.step(streamOf(run));
            if (step > steps.back() - 20) loss += now / 20;
            if (std::ranges::find(steps, step) != steps.end()) {
                trainer.model().save(work / "now");
                models.emplace_back(settings.shape, work / "now",
                                    trainer.model().parameters().front().second.scalar_type());
            }
        }
        return models;
    };
    Json result{{"from", first},
                {"steps", steps},
                {"right", compare(found.gauge, gauge).both},
                {"permutation-only right", compare(raw.gauge, gauge).both}};
    const auto compareFrom = [&](const std::string& what, const fs::path& state, torch::ScalarType type,
                                 const std::vector<Llama>& expected, const Llama& start) {
        double loss = 0;
        const std::vector<Llama> moved =
            trajectory(Trainer(settings.shape, settings.schedule, work, state, first, type), loss);
        for (std::size_t k = 0; k < moved.size(); ++k) {
            moved[k].save(work / "there");
            move(work / "there" / "model.safetensors", home, work / "back" / "model.safetensors");
            result["distance"][what].push_back(
                distance(Llama(settings.shape, work / "back", type), expected[k], start));
        }
        result["loss"][what] = loss;
    };
    for (const torch::ScalarType type : {torch::kFloat32, torch::kFloat64}) {
        const bool fine = type == torch::kFloat64;
        double loss = 0;
        const Llama start(settings.shape, trained, type);
        const std::vector<Llama> expected = trajectory(Trainer(settings.shape, settings.schedule, trained, type), loss);
        if (!fine) result["loss"]["uninterrupted"] = loss;
        compareFrom(fine ? "signed, float64" : "signed", work / "signed.pt", type, expected, start);
        if (fine) continue;
        for (const char* mover : {"permutation-only", "signs dropped", "unmoved"})
            compareFrom(mover, work / (std::string(mover) + ".pt"), type, expected, start);
        compareFrom("AdamW anew", {}, type, expected, start);
    }
    return result;
}

}  // namespace regauge::experiments

#include "runs.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "corpus.hpp"
#include "regauge/random_gauge.hpp"

namespace regauge::experiments {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t evidenceStream = 0xe51de9ce;

std::uint64_t seedOfRun(const RunName& run) {
    return seedOf({static_cast<std::uint64_t>(run.seed), static_cast<std::uint64_t>(run.fork),
                   static_cast<std::uint64_t>(run.half)});
}

std::int64_t startOf(const RunName& run) { return run.half == '-' ? 0 : run.fork; }

// What the runs in the folder depend on; more seeds and forks may be added to those that are there.
void keepToSettings(const Settings& settings) {
    const ModelShape& shape = settings.shape;
    const Schedule& schedule = settings.schedule;
    std::ostringstream text;
    text << "d " << shape.d << ", layers " << shape.layers << ", heads " << shape.heads << ", hidden " << shape.hidden
         << ", context " << shape.context << ", steps " << schedule.steps << ", batch " << schedule.batch << ", rate "
         << schedule.rate << ", scale " << schedule.initialScale << ", decay " << schedule.decay << ", tuning "
         << schedule.tuneSteps << " at " << schedule.tuneRate << ", tuned fork " << settings.forks.back()
         << ", evidence every " << settings.evidenceEvery << ", checkpoints every " << settings.checkpointEvery
         << ", rows " << settings.rows << "\n";
    const fs::path file = settings.folder / "settings.txt";
    if (!fs::exists(file)) return writeText(file, text.str());
    if (const std::string there = readText(file); there != text.str())
        throw std::runtime_error(settings.folder.string() + " holds runs of other settings (" +
                                 there.substr(0, there.size() - 1) +
                                 "): delete it, or give another folder with --data");
}

// Trains a run to its end, writing evidence and checkpoints on the way.
std::string train(const Settings& settings, const RunName& run) {
    const std::int64_t last = lastStep(settings, run);
    const RunName base{run.seed, 0, '-'};
    const auto isCheckpoint = [&](std::int64_t step) {
        return step == last || step % settings.checkpointEvery == 0 ||
               (run.half == '-' && std::ranges::find(settings.forks, step) != settings.forks.end());
    };
    std::optional<Trainer> trainer;
    for (std::int64_t step = last; step > startOf(run) && !trainer; --step) {
        if (!fs::exists(folderOf(settings, run, step) / "optimizer.pt")) continue;
        if (step == last) return "";
        trainer.emplace(settings.shape, settings.schedule, folderOf(settings, run, step));
    }
    if (!trainer) {
        if (run.half == '-' || run.fork == 0)
            trainer.emplace(settings.shape, settings.schedule, seedOf({static_cast<std::uint64_t>(run.seed), 0x5eed}));
        else
            trainer.emplace(settings.shape, settings.schedule, folderOf(settings, base, run.fork));
    }
    const torch::Tensor tokens = evidenceTokens(settings);
    const auto keep = [&](std::int64_t step) {
        const fs::path folder = folderOf(settings, run, step);
        writeEvidence(folder / "evidence.safetensors", trainer->model(), tokens, coordinatesOf(settings, run, step));
        if (step > 0 && isCheckpoint(step)) trainer->save(folder);  // last, because it says that the folder is whole
    };
    if (run.half == '-' && trainer->steps() == 0) keep(0);
    double loss = 0;
    while (trainer->steps() < last) {
        loss = trainer->step(streamOf(run));
        const std::int64_t step = trainer->steps();
        if (step % settings.evidenceEvery == 0 || isCheckpoint(step)) keep(step);
    }
    char text[64];
    std::snprintf(text, sizeof text, "loss %.3f", loss);
    return text;
}

}  // namespace

std::int64_t lastStep(const Settings& settings, const RunName& run) {
    if (run.half == '-') return *std::ranges::max_element(settings.forks);
    return settings.schedule.steps + (run.fork == settings.forks.back() ? settings.schedule.tuneSteps : 0);
}

fs::path folderOf(const Settings& settings, const RunName& run, std::int64_t step) {
    char text[64];
    if (run.half == '-')
        std::snprintf(text, sizeof text, "seed%d/base/step%05d", static_cast<int>(run.seed), static_cast<int>(step));
    else
        std::snprintf(text, sizeof text, "seed%d/fork%d%c/step%05d", static_cast<int>(run.seed),
                      static_cast<int>(run.fork), run.half, static_cast<int>(step));
    return settings.folder / text;
}

std::uint64_t streamOf(const RunName& run) { return seedOf({seedOfRun(run), 0x7e87}); }

Gauge coordinatesOf(const Settings& settings, const RunName& run, std::int64_t step) {
    return RandomGauges(seedOf({seedOfRun(run), static_cast<std::uint64_t>(step)}))
        .next(static_cast<std::size_t>(settings.shape.d));
}

torch::Tensor evidenceTokens(const Settings& settings) {
    std::vector<std::string> texts;
    for (std::int64_t k = 0; k < settings.rows / settings.shape.context; ++k)
        texts.push_back(window(seedOf({evidenceStream, static_cast<std::uint64_t>(k)}),
                               static_cast<std::size_t>(settings.shape.context)));
    return tokensOf(texts);
}

void writeEvidence(const fs::path& file, const Llama& model, const torch::Tensor& tokens, const Gauge& gauge) {
    const std::vector<std::int64_t> order(gauge.perm().begin(), gauge.perm().end());
    const std::vector<float> signs(gauge.sign().begin(), gauge.sign().end());
    const torch::Tensor perm = torch::tensor(order), sign = torch::tensor(signs);
    NamedTensors tensors;
    const auto residuals = model.residuals(tokens);
    for (std::size_t place = 0; place < residuals.size(); ++place)
        tensors.emplace_back("activations/resid." + std::to_string(place),
                             (residuals[place].index_select(-1, perm) * sign).to(torch::kFloat16));
    std::size_t norm = 0;
    for (const auto& [name, parameter] : model.parameters()) {
        if (name.find("norm") == std::string::npos) continue;
        const std::string layer = std::to_string(norm / 2);
        const bool last = name == "model.norm.weight";
        tensors.emplace_back("gains/" + (last ? "final" : (norm % 2 == 0 ? "attn." : "mlp.") + layer),
                             parameter.index_select(0, perm));
        ++norm;
    }
    tensors.emplace_back("token_ids", tokens);
    writeTensors(file, tensors);
}

Settings wider(const Settings& settings) {
    Settings wide = settings;
    wide.shape.d *= 2;
    wide.shape.hidden *= 2;
    wide.shape.heads *= 2;
    wide.schedule.tuneSteps = 0;
    wide.forks = {50};
    wide.spacings = {settings.evidenceEvery, settings.checkpointEvery};
    wide.seeds = 3;
    wide.folder = settings.folder / ("d" + std::to_string(wide.shape.d));
    return wide;
}

void trainAll(const Settings& settings, Work& work) {
    keepToSettings(settings);
    const std::string width = "d = " + std::to_string(settings.shape.d) + ", ";
    std::vector<Job> bases, forks;
    for (std::int64_t seed = 0; seed < settings.seeds; ++seed) {
        const RunName base{seed, 0, '-'};
        bases.push_back(
            {width + "seed " + std::to_string(seed) + ", base", [&settings, base] { return train(settings, base); }});
        for (const std::int64_t fork : settings.forks)
            for (const char half : {'a', 'b'}) {
                const RunName run{seed, fork, half};
                forks.push_back({width + "seed " + std::to_string(seed) + ", fork " + std::to_string(fork) + half,
                                 [&settings, run] { return train(settings, run); }});
            }
    }
    work.run("bases", std::move(bases));
    work.run("runs", std::move(forks));
}

}  // namespace regauge::experiments

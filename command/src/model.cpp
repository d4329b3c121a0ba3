// The subcommands that run a model: verify, activations.
#include "regauge/model.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "io/json_text.hpp"
#include "jobs.hpp"
#include "regauge/reports.hpp"

namespace regauge {

RunJob addVerify(CLI::App& command) {
    struct Options {
        std::string model, moved, tokens;
        std::size_t sequences = 0;
        double tolerance = sameFunction;
    };
    auto options = std::make_shared<Options>();
    command.add_option("MODEL", options->model, "a checkpoint folder or GGUF file")->required();
    command.add_option("MOVED", options->moved, "the checkpoint folder to compare with")->required();
    command
        .add_option("--tokens", options->tokens,
                    "token ids: .npy or .safetensors, [tokens] or [sequences, tokens], or a JSON array")
        ->required();
    command.add_option("--sequences", options->sequences, "use only the first N sequences");
    command
        .add_option("--tolerance", options->tolerance,
                    "the largest logit difference that counts as the same function (default 0.001)")
        ->check(notNegative());
    return [options](const Job& job) {
        std::vector<std::vector<std::int64_t>> sequences = readTokens(job.host.files, options->tokens);
        if (options->sequences > 0 && options->sequences < sequences.size()) sequences.resize(options->sequences);
        const Progress progress = job.progress();
        const Model model = Model::load(job.host.files, options->model, progress),
                    moved = Model::load(job.host.files, options->moved, progress);
        const FunctionDifference difference = verify(model, moved, sequences, progress);
        const bool same = difference.maxLogitDifference <= options->tolerance;
        if (job.json) {
            job.print(verifyJson(difference, options->tolerance) + "\n");
        } else {
            char text[256];
            std::snprintf(text, sizeof text,
                          "%s over %llu positions\nmax logit difference  %.3g\nmax KL                %.3g nats\nsame "
                          "top token        %.1f %%\n",
                          same ? "the same function" : "not the same function",
                          static_cast<unsigned long long>(difference.positions), difference.maxLogitDifference,
                          difference.maxKl, 100 * difference.topAgreement);
            job.print(text);
        }
        return same ? 0 : 1;
    };
}

RunJob addActivations(CLI::App& command) {
    struct Options {
        std::string model, tokens;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("MODEL", options->model, "a checkpoint folder or GGUF file")->required();
    command
        .add_option("--tokens", options->tokens,
                    "token ids: .npy or .safetensors, [tokens] or [sequences, tokens], or a JSON array")
        ->required();
    addOutput(command, options->output, true, "the evidence file (.safetensors) to write");
    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        const std::vector<std::vector<std::int64_t>> sequences = readTokens(job.host.files, options->tokens);
        const Progress progress = job.progress();
        const Model model = Model::load(job.host.files, options->model, progress);
        const std::unique_ptr<Output> output =
            job.host.files.create(options->output.path, false, options->output.force);
        writeActivations(model, sequences, output->file(""), progress);
        output->commit();
        std::size_t rows = 0;
        for (const auto& sequence : sequences) rows += sequence.size();
        if (job.json)
            job.print(jsonText({{"rows", rows}, {"d", model.config().d}, {"sites", model.config().layers + 1}}) + "\n");
        else
            job.wrote(options->output.path);
        return 0;
    };
}

}  // namespace regauge

#include "regauge/merge.hpp"

#include <memory>
#include <optional>

#include "jobs.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/reports.hpp"

namespace regauge {

RunJob addMerge(CLI::App& command) {
    struct Options {
        std::string a, b, gauge, baseGauge;
        MergeOptions merge;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command
        .add_option(
            "A", options->a,
            "a checkpoint (a folder, a file or shards), whose coordinates, names and companion files the result has")
        ->required();
    command.add_option("B", options->b, "a checkpoint with the same tensors, in other coordinates")->required();
    command
        .add_option("--gauge", options->gauge,
                    "the gauge file from B's coordinates to A's, as `regauge align B A -o b-to-a.json` writes it")
        ->required();
    addOutput(command, options->output, true, "the merged checkpoint: a folder where A is one, else a file");
    CLI::Option* weight = command.add_option("--weight", options->merge.weight,
                                             "w in (1 - w) A + w B, or in A + w (B - BASE) (default 0.5)");
    weight->check(CLI::Number);
    CLI::Option* base = command.add_option("--base", options->merge.base,
                                           "merge the task vector: A + w (B - BASE), with BASE in A's coordinates");
    command
        .add_option("--base-gauge", options->baseGauge,
                    "the gauge file from BASE's coordinates to A's, where they differ")
        ->needs(base);
    command.footer(command.get_footer() +
                   "\n\nMeaningful for models of one base: residual coordinates are aligned; attention heads and MLP "
                   "neurons, too, where the gauge has a hidden part (align --hidden), and else averaged by position.\n"
                   "Tensors keep their dtypes; what is no float, or is in no recipe, must be equal in both.");

    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        const GaugeFile gauge = readGaugeFile(job.host.files, options->gauge);
        std::optional<GaugeFile> baseGauge;
        if (!options->baseGauge.empty()) baseGauge = readGaugeFile(job.host.files, options->baseGauge);
        options->merge.force = options->output.force;
        const MergeReport report = merge(job.host.files, options->a, options->b, gauge, baseGauge, options->output.path,
                                         options->merge, job.progress());
        if (job.json) {
            job.print(mergeJson(report) + "\n");
        } else {
            job.wrote(options->output.path,
                      report.kind + ": " + std::to_string(report.averaged) + " tensors averaged" +
                          (report.equal > 0 ? ", " + std::to_string(report.equal) + " equal in both and kept" : "") +
                          (report.sharedRows > 0
                               ? "; of the vocabulary, which is longer on one side, the first " +
                                     std::to_string(report.sharedRows) + " rows, with A's others kept and B's left out"
                               : ""));
        }
        return 0;
    };
}

}  // namespace regauge

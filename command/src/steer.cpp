#include "regauge/steer.hpp"

#include <cstdio>
#include <memory>
#include <optional>

#include "jobs.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/reports.hpp"
#include "regauge/vocabulary.hpp"
#include "shown.hpp"

namespace regauge {
namespace {

std::string line(const char* format, auto... values) {
    char text[160];
    std::snprintf(text, sizeof text, format, values...);
    return text;
}

// The tokens' text in quotes, or their ids where nothing says what they stand for.
std::string tokensText(const std::optional<Vocabulary>& vocabulary, const std::vector<std::int64_t>& tokens) {
    std::string text;
    if (!vocabulary) {
        for (const std::int64_t token : tokens) text += (text.empty() ? "" : " ") + std::to_string(token);
        return text;
    }
    for (const char letter : vocabulary->text(tokens)) {
        if (letter == '"' || letter == '\\') text += '\\';
        text += letter == '\n' ? "\\n" : std::string{letter};
    }
    return "\"" + shown(text) + "\"";
}

std::string reportText(const SteerReport& report, const std::optional<Vocabulary>& vocabulary) {
    std::string text = line("%g x the vector at resid.%zu, over %llu positions\n", report.strength, report.place,
                            static_cast<unsigned long long>(report.positions));
    text += "it promotes tokens";
    for (const SteerReport::Promoted& one : report.promoted)
        text += " " + tokensText(vocabulary, {one.token}) + line(" (%+.2f)", one.rise);
    text += "  [nats]\n                      effect  agreement  continuation\n";
    for (const SteerReport::Arm& arm : report.arms) {
        const bool steered = arm.name != "source" && arm.name != "target";
        text += steered ? line("%-18s  %+8.3f  %+9.3f  ", arm.name.c_str(), arm.effect, arm.agreement)
                        : line("%-18s         -          -  ", arm.name.c_str());
        text += tokensText(vocabulary, arm.continuation.tokens) + "\n";
    }
    return text;
}

}  // namespace

RunJob addSteer(CLI::App& command) {
    struct Options {
        std::string source, target, vector, gauge, tokens;
        std::optional<std::size_t> row;
        std::size_t promptLength = 0;
        bool bytes = false;
        SteerOptions steer;
    };
    auto options = std::make_shared<Options>();
    command.add_option("SOURCE", options->source, "the checkpoint folder in whose coordinates the vector is")
        ->required();
    command.add_option("TARGET", options->target, "the checkpoint folder to steer with the moved vector")->required();
    command.add_option("--vector", options->vector, "a steering vector, as transport takes it")->required();
    command.add_option("--row", options->row, "which vector of a file that holds several, from 0");
    command
        .add_option("--site", options->steer.site,
                    "where it is added: resid.0 (the embedding), resid.1 (after the first layer), ...")
        ->required();
    command.add_option("--gauge", options->gauge, "the gauge file from SOURCE to TARGET")->required();
    command
        .add_option("--tokens", options->tokens,
                    "the prompt: the first sequence of token ids in a .npy, .safetensors or JSON file")
        ->required();
    command.add_option("--prompt-length", options->promptLength, "use only the first N tokens of the prompt")
        ->check(positive());
    command.add_option("--strength", options->steer.strength, "what the vector is multiplied with (default 1)")
        ->check(CLI::Number);
    command
        .add_option("--promoted", options->steer.promoted,
                    "how many tokens stand for what the vector promotes (default 10)")
        ->check(positive());
    command.add_option("--length", options->steer.generate.length, "tokens to continue with (default 40)");
    command
        .add_option("--temperature", options->steer.generate.temperature,
                    "of the sampling (default 0: the most likely token)")
        ->check(notNegative());
    command.add_option("--seed", options->steer.generate.seed, "of the sampling (default 0)");
    command.footer(
        command.get_footer() +
        "\n\nThe vector is added to the target moved by the gauge, moved by its permutation alone, and not moved.\n"
        "effect: mean rise of the promoted tokens' log-probability, in nats; agreement: correlation of all tokens' "
        "rises with those in SOURCE.");
    command.add_flag("--bytes", options->bytes,
                     "the models' tokens are bytes (default: what the tokenizer.json or GGUF file beside SOURCE says)");
    return [options](const Job& job) {
        const Files& files = job.host.files;
        const Alignment gauge = readGauge(files, options->gauge);
        std::vector<std::int64_t> prompt = readTokens(files, options->tokens).at(0);
        if (options->promptLength > 0 && options->promptLength < prompt.size()) prompt.resize(options->promptLength);
        const Progress progress = job.progress();
        const Model source = Model::load(files, options->source, progress),
                    target = Model::load(files, options->target, progress);
        const std::vector<float> vector = readSteeringVector(files, options->vector, source.config().d, options->row);
        const SteerReport report = steer(source, target, vector, gauge.gauge, prompt, options->steer, progress);
        std::string unread;
        const std::optional<Vocabulary> vocabulary =
            options->bytes ? Vocabulary::ofBytes() : Vocabulary::beside(job.host.files, options->source, unread);
        if (!unread.empty()) job.say("tokens are shown as ids: " + unread);
        job.print(job.json ? steerJson(report, vocabulary) + "\n" : reportText(report, vocabulary));
        return 0;
    };
}

}  // namespace regauge

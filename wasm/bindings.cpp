// What JavaScript can call: a whole job a call, synchronous, in a worker. Texts are JSON with the files' own keys;
// tensors never cross, but for one array a call that is drawn or read as numbers (correlations, logits, one number a
// random gauge). Nothing here outlives its call: there is no handle to dispose of.
// (command.cpp, in a module of its own, is the command line.)
#include <emscripten/bind.h>

#include <cmath>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host.hpp"
#include "io/json_text.hpp"
#include "options.hpp"
#include "regauge/error.hpp"
#include "regauge/first_row.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/map_reports.hpp"
#include "regauge/match.hpp"
#include "regauge/model.hpp"
#include "regauge/reports.hpp"
#include "regauge/site_correlations.hpp"
#include "regauge/steer.hpp"
#include "regauge/threads.hpp"
#include "regauge/trace.hpp"
#include "regauge/transport.hpp"
#include "regauge/version.hpp"
#include "regauge/vocabulary.hpp"
#include "regauge/words.hpp"

namespace regauge::wasm {
namespace {

// A job's answer, or why there is none. A refusal crosses as a value: a C++ exception would reach JavaScript as an
// opaque pointer that it must free.
struct Outcome {
    bool ok = true;
    std::string value;                 // JSON
    std::string code, where, message;  // of the refusal: an ErrorCode's name, Error::where(), Error::what()
};

template <class Job>
Outcome answer(const Job& job) {
    const auto refusal = [](ErrorCode code, const std::string& where, const char* message) {
        return Outcome{false, "", std::string(name(code)), where, message};
    };
    try {
        return {true, job(), "", "", ""};
    } catch (const Error& error) {
        return refusal(error.code(), error.where(), error.what());
    } catch (const std::bad_alloc&) {
        return refusal(ErrorCode::tooLarge, "",
                       "needs more memory than WebAssembly has here (4 GB at most); use the native command");
    } catch (const std::exception& error) {
        return refusal(ErrorCode::internal, "", error.what());
    }
}

// Hands a job's array over; the host copies it.
void give(const JsHost& host, const std::vector<float>& values) {
    host.call<void>("array", emscripten::typed_memory_view(values.size(), values.data()));
}

Outcome align(JsHost host, std::string source, std::string target, std::string options) {
    return answer([&] {
        const HostFiles files(host);
        const AlignOptions given = alignOptions(options, hostThreads(host));
        Evidence from = openEvidence(files, source, given.match.sites),
                 to = openEvidence(files, target, given.match.sites);
        if (!given.gains.empty()) addGains(from, files, given.gains[0]), addGains(to, files, given.gains[1]);
        return toJson(match(from, to, given.match, hostProgress(host)));
    });
}

// Residual stream, heads and neurons of two checkpoints.
// {"gauge": the gauge file, "report": what `regauge align --hidden --json` prints}
Outcome alignHidden(JsHost host, std::string source, std::string target, std::string options) {
    return answer([&] {
        const AlignOptions given = alignOptions(options, hostThreads(host));
        const HiddenAlignment found = matchHidden(HostFiles(host), source, target, given.match, hostProgress(host));
        return "{\"gauge\":" + toJson(GaugeFile{found.residual, found.hidden}) + ",\"report\":" + hiddenJson(found) +
               "}";
    });
}

// {"gauge": the gauge file, "trace": what `regauge trace --json` prints}
Outcome traceCheckpoints(JsHost host, StringList checkpoints, std::string options) {
    return answer([&] {
        const Trace found = trace(HostFiles(host), emscripten::vecFromJSArray<std::string>(checkpoints),
                                  alignOptions(options, hostThreads(host)).match, hostProgress(host));
        return "{\"gauge\":" + toJson(found.alignment) + ",\"trace\":" + traceJson(found) + "}";
    });
}

Outcome transportObject(JsHost host, std::string object, std::string gauge, std::string out, std::string options) {
    return answer([&] {
        HostFiles files(host);
        const GaugeTransportOptions given = transportOptions(options);
        return planJson(transport(files, object, parseGaugeFile(gauge, "gauge"), out, given.site, given.object,
                                  hostProgress(host)));
    });
}

// gauge: a gauge file's text, or "" where there is none.
Outcome plan(JsHost host, std::string object, std::string gauge, std::string options) {
    return answer([&] {
        HostFiles files(host);
        GaugeTransportOptions given = transportOptions(options);
        given.object.dryRun = true;
        return planJson(gauge.empty()
                            ? planTransport(files, object, given.object)
                            : transport(files, object, parseGaugeFile(gauge, "gauge"), "", given.site, given.object));
    });
}

Outcome correlation(JsHost host, std::string source, std::string target, std::string options) {
    return answer([&] {
        const HostFiles files(host);
        const SiteCorrelations found =
            correlateSite(openEvidence(files, source), openEvidence(files, target),
                          alignOptions(options, hostThreads(host)).match, hostProgress(host));
        give(host, found.r);
        return jsonText({{"d", found.d}, {"site", found.site}, {"rows", found.rows}});
    });
}

// The array: the first vector along a tensor's last axis. {"tensor", "shape"}
Outcome readFirstRow(JsHost host, std::string file, std::string tensor) {
    return answer([&] {
        const FirstRow row = firstRow(HostFiles(host), file, tensor);
        give(host, row.values);
        return jsonText({{"tensor", row.tensor}, {"shape", row.shape}});
    });
}

// The array: the gains of every norm, [names, d]. {"names"}
Outcome readGains(JsHost host, std::string evidence) {
    return answer([&] {
        std::vector<std::string> names;
        std::vector<float> values;
        for (const Gains& gains : openEvidence(HostFiles(host), evidence).gains) {
            names.push_back(gains.name);
            for (const double gain : gains.values) values.push_back(static_cast<float>(gain));
        }
        give(host, values);
        return jsonText(nlohmann::ordered_json{{"names", names}});
    });
}

// Writes the map file to `out`.
Outcome fitMapsTo(JsHost host, std::string source, std::string target, std::string out, std::string options) {
    return answer([&] {
        HostFiles files(host);
        const MapSet maps = fitMaps(openEvidence(files, source), openEvidence(files, target),
                                    mapOptions(options, hostThreads(host)), hostProgress(host));
        const std::unique_ptr<Output> output = files.create(out, false, false);
        writeMaps(maps, output->file(""));
        output->commit();
        return mapsJson(maps);
    });
}

Outcome transportByMaps(JsHost host, std::string object, std::string maps, std::string out, std::string options) {
    return answer([&] {
        HostFiles files(host);
        return planJson(transport(files, object, readMaps(files, maps), out,
                                  mapTransportOptions(options, hostThreads(host)), hostProgress(host)));
    });
}

Outcome planByMaps(JsHost host, std::string object, std::string maps, std::string options) {
    return answer([&] {
        const HostFiles files(host);
        return planJson(
            planTransport(files, object, readMaps(files, maps), mapTransportOptions(options, hostThreads(host))));
    });
}

Outcome mergeCheckpoints(JsHost host, std::string a, std::string b, std::string gauge, std::string out,
                         std::string options) {
    return answer([&] {
        HostFiles files(host);
        const GaugeMergeOptions given = mergeOptions(options);
        return mergeJson(
            merge(files, a, b, parseGaugeFile(gauge, "gauge"), given.baseGauge, out, given.merge, hostProgress(host)));
    });
}

// gauge: a gauge file's text, or "". The array: overlap, rank correlation and sign agreement of every random gauge, not
// moved, NaN where there is none.
Outcome auditObject(JsHost host, std::string object, std::string gauge, std::string options) {
    return answer([&] {
        const auto given = gauge.empty() ? std::nullopt : std::optional(parseGauge(gauge, "gauge"));
        const AuditReport report = audit(HostFiles(host), object, given, auditOptions(options), hostProgress(host));
        std::vector<float> drawn;
        for (const Survival<double>& one : report.drawn)
            for (const auto& number : {one.overlap, one.rank, one.sign})
                drawn.push_back(static_cast<float>(number.value_or(NAN)));
        give(host, drawn);
        return auditJson(report);
    });
}

Outcome simulateCeiling(JsHost host, std::string options) {
    return answer([&] {
        const CeilingOptions given = ceilingOptions(options);
        return ceilingJson(ceiling(given, hostProgress(host)), given);
    });
}

Outcome verifyModels(JsHost host, std::string model, std::string moved, std::string tokens, std::string options) {
    return answer([&] {
        const HostFiles files(host);
        const VerifyOptions given = verifyOptions(options);
        std::vector<std::vector<std::int64_t>> sequences = readTokens(files, tokens);
        if (given.sequences > 0 && given.sequences < sequences.size()) sequences.resize(given.sequences);
        const Progress progress = hostProgress(host);
        const Model a = Model::load(files, model, progress), b = Model::load(files, moved, progress);
        return verifyJson(verify(a, b, sequences, progress), given.tolerance);
    });
}

// Writes the evidence to `out`.
Outcome sampleActivations(JsHost host, std::string model, std::string tokens, std::string out) {
    return answer([&] {
        HostFiles files(host);
        const auto sequences = readTokens(files, tokens);
        const Progress progress = hostProgress(host);
        const Model loaded = Model::load(files, model, progress);
        const std::unique_ptr<Output> output = files.create(out, false, false);
        writeActivations(loaded, sequences, output->file(""), progress);
        output->commit();
        return std::string("{}");
    });
}

Model::ResidualHook steeringHook(const Files& files, const Model& model, const SteeringOptions& given) {
    if (given.vector.empty()) return {};
    const ModelConfig& config = model.config();
    return hookOf({placeOf(given.steer.site, config), readSteeringVector(files, given.vector, config.d, given.row),
                   given.steer.strength},
                  config);
}

// The array: the logits of the first sequence, [tokens, vocabulary].
Outcome modelLogits(JsHost host, std::string model, std::string tokens, std::string options) {
    return answer([&] {
        const HostFiles files(host);
        const SteeringOptions given = steeringOptions(options);
        const std::vector<std::int64_t> prompt = readTokens(files, tokens).front();
        const Model loaded = Model::load(files, model, hostProgress(host));
        give(host, loaded.logits(prompt, steeringHook(files, loaded, given)));
        return "{\"tokens\":" + std::to_string(prompt.size()) +
               ",\"vocabulary\":" + std::to_string(loaded.config().vocabulary) + "}";
    });
}

Outcome continuePrompt(JsHost host, std::string model, std::string prompt, std::string options) {
    return answer([&] {
        const HostFiles files(host);
        const SteeringOptions given = steeringOptions(options);
        const std::vector<std::int64_t> tokens = readTokens(files, prompt).front();
        const Progress progress = hostProgress(host);
        const Model loaded = Model::load(files, model, progress);
        std::string unread;
        return continuationJson(
            generate(loaded, tokens, steeringHook(files, loaded, given), given.steer.generate, progress),
            Vocabulary::beside(files, model, unread));
    });
}

Outcome steerModels(JsHost host, std::string source, std::string target, std::string gauge, std::string prompt,
                    std::string options) {
    return answer([&] {
        const HostFiles files(host);
        const SteeringOptions given = steeringOptions(options);
        const Alignment alignment = parseGauge(gauge, "gauge");
        const std::vector<std::int64_t> tokens = readTokens(files, prompt).front();
        const Progress progress = hostProgress(host);
        const Model from = Model::load(files, source, progress), to = Model::load(files, target, progress);
        const std::vector<float> vector = readSteeringVector(files, given.vector, from.config().d, given.row);
        std::string unread;
        return steerJson(steer(from, to, vector, alignment.gauge, tokens, given.steer, progress),
                         Vocabulary::beside(files, source, unread));
    });
}

// {"groups", "statistics", "verdicts", "errorCodes"}: the words that TypeScript repeats as types, for the test that
// compares them.
std::string words() {
    return jsonText({{"groups", groupWords()},
                     {"statistics", statisticWords()},
                     {"verdicts", verdictWords()},
                     {"errorCodes", errorCodeWords()}});
}

// Threads' workers start only while this thread is idle (browsers): asked for before a job, and awaited.
void prepareThreads(unsigned threads) { startHelpers(threads); }
unsigned threadsReady() { return helpersReady() + 1; }

std::string versionText() { return std::string(version); }

EMSCRIPTEN_BINDINGS(regauge) {
    emscripten::register_type<JsHost>("import(\"../../src/host.js\").Host");
    emscripten::register_type<StringList>("string[]");
    emscripten::value_object<Outcome>("Outcome")
        .field("ok", &Outcome::ok)
        .field("value", &Outcome::value)
        .field("code", &Outcome::code)
        .field("where", &Outcome::where)
        .field("message", &Outcome::message);
    emscripten::function("align(host, source, target, options)", &align);
    emscripten::function("alignHidden(host, source, target, options)", &alignHidden);
    emscripten::function("trace(host, checkpoints, options)", &traceCheckpoints);
    emscripten::function("transport(host, object, gauge, out, options)", &transportObject);
    emscripten::function("plan(host, object, gauge, options)", &plan);
    emscripten::function("correlation(host, source, target, options)", &correlation);
    emscripten::function("firstRow(host, file, tensor)", &readFirstRow);
    emscripten::function("gains(host, evidence)", &readGains);
    emscripten::function("fitMap(host, source, target, out, options)", &fitMapsTo);
    emscripten::function("transportMap(host, object, maps, out, options)", &transportByMaps);
    emscripten::function("planMap(host, object, maps, options)", &planByMaps);
    emscripten::function("merge(host, a, b, gauge, out, options)", &mergeCheckpoints);
    emscripten::function("audit(host, object, gauge, options)", &auditObject);
    emscripten::function("ceiling(host, options)", &simulateCeiling);
    emscripten::function("verify(host, model, moved, tokens, options)", &verifyModels);
    emscripten::function("activations(host, model, tokens, out)", &sampleActivations);
    emscripten::function("logits(host, model, tokens, options)", &modelLogits);
    emscripten::function("generate(host, model, prompt, options)", &continuePrompt);
    emscripten::function("steer(host, source, target, gauge, prompt, options)", &steerModels);
    emscripten::function("prepareThreads(threads)", &prepareThreads);
    emscripten::function("threadsReady", &threadsReady);
    emscripten::function("words", &words);
    emscripten::function("version", &versionText);
}

}  // namespace
}  // namespace regauge::wasm

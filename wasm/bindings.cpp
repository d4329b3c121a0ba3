// What JavaScript can call: a whole job a call, synchronous, in a worker. Texts are JSON with the files' own keys; tensors never cross,
// but for the correlations that the page draws. Nothing here outlives its call: there is no handle to dispose of.
// (command.cpp, in a module of its own, is the command line.)
#include <emscripten/bind.h>

#include <new>
#include <string>

#include "correlations.hpp"
#include "host.hpp"
#include "options.hpp"
#include "parallel.hpp"
#include "regauge/error.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/match.hpp"
#include "regauge/trace.hpp"
#include "regauge/transport.hpp"
#include "regauge/version.hpp"
#include "summary.hpp"

namespace regauge::wasm {
namespace {

// A job's answer, or why there is none. A refusal crosses as a value: a C++ exception would reach JavaScript as an opaque pointer that it must free.
struct Outcome {
    bool ok = true;
    std::string value;              // JSON
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
        return refusal(ErrorCode::tooLarge, "", "needs more memory than WebAssembly has here (4 GB at most); use the native command");
    } catch (const std::exception& error) {
        return refusal(ErrorCode::internal, "", error.what());
    }
}

Outcome align(JsHost host, std::string source, std::string target, std::string options) {
    return answer([&] {
        const HostFiles files(host);
        const AlignOptions given = alignOptions(options, hostThreads(host));
        Evidence from = openEvidence(files, source), to = openEvidence(files, target);
        if (!given.gains.empty()) {
            from.gains = openEvidence(files, given.gains[0]).gains;
            to.gains = openEvidence(files, given.gains[1]).gains;
        }
        return toJson(match(from, to, given.match, hostProgress(host)));
    });
}

// {"gauge": the gauge file, "trace": what `regauge trace --json` prints}
Outcome traceCheckpoints(JsHost host, StringList checkpoints, std::string options) {
    return answer([&] {
        const Trace found = trace(HostFiles(host), emscripten::vecFromJSArray<std::string>(checkpoints), alignOptions(options, hostThreads(host)).match, hostProgress(host));
        return "{\"gauge\":" + toJson(found.alignment) + ",\"trace\":" + traceJson(found) + "}";
    });
}

Outcome transportObject(JsHost host, std::string object, std::string gauge, std::string out, std::string options) {
    return answer([&] {
        HostFiles files(host);
        return planJson(transport(files, object, parseGauge(gauge, "gauge"), out, transportOptions(options), hostProgress(host)));
    });
}

// d: the gauge's width, or 0 where there is no gauge.
Outcome plan(JsHost host, std::string object, std::string options, unsigned d) {
    return answer([&] { return planJson(planTransport(HostFiles(host), object, transportOptions(options), d)); });
}

Outcome correlation(JsHost host, std::string source, std::string target, std::string options) {
    return answer([&] {
        const HostFiles files(host);
        const Correlations found = correlate(openEvidence(files, source), openEvidence(files, target), alignOptions(options, hostThreads(host)).match, hostProgress(host));
        host.call<void>("array", emscripten::typed_memory_view(found.r.size(), found.r.data()));
        return found.json;
    });
}

StringList errorCodes() {
    emscripten::val codes = emscripten::val::array();
#define REGAUGE_PUSH(code) codes.call<void>("push", std::string(#code));
    REGAUGE_ERROR_CODES(REGAUGE_PUSH)
#undef REGAUGE_PUSH
    return StringList(codes);
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
    emscripten::function("trace(host, checkpoints, options)", &traceCheckpoints);
    emscripten::function("transport(host, object, gauge, out, options)", &transportObject);
    emscripten::function("plan(host, object, options, d)", &plan);
    emscripten::function("correlation(host, source, target, options)", &correlation);
    emscripten::function("prepareThreads(threads)", &prepareThreads);
    emscripten::function("threadsReady", &threadsReady);
    emscripten::function("errorCodes", &errorCodes);
    emscripten::function("version", &versionText);
}

}  // namespace
}  // namespace regauge::wasm

// The command line, in a module of its own: a page has no use for it, and its words and subcommands are a tenth of the
// bytes.
#include "regauge/command.hpp"

#include <emscripten/bind.h>

#include "host.hpp"

namespace regauge::wasm {
namespace {

// The exit status.
int run(JsHost host, StringList args) {
    HostFiles files(host);
    Host terminal{.files = files,
                  .out =
                      [&](std::string_view text) {
                          checked(host.call<emscripten::val>("out", std::string(text)), "standard output");
                      },
                  .err = [&](std::string_view text) { host.call<void>("err", std::string(text)); },
                  .errIsTerminal = host["errIsTerminal"].as<bool>(),
                  .cancelled = [&] { return host.call<bool>("cancelled"); },
                  .threads = hostThreads(host),
                  .memory = availableMemory,
                  .withoutSync = [&] { host.call<void>("withoutSync"); }};
    return runCommand(emscripten::vecFromJSArray<std::string>(args), terminal);
}

EMSCRIPTEN_BINDINGS(regauge_command) {
    emscripten::register_type<JsHost>("import(\"../../src/host.js\").Host");
    emscripten::register_type<StringList>("string[]");
    emscripten::function("runCommand(host, args)", &run);
}

}  // namespace
}  // namespace regauge::wasm

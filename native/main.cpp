// The native command: hands the machine's files, streams and signals to runCommand.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "native_files.hpp"
#include "regauge/command.hpp"
#include "regauge/error.hpp"
#include "regauge/isa.hpp"

namespace {

std::atomic<bool> interrupted = false;  // lock-free: a signal handler may set it

void onInterrupt(int) { interrupted = true; }

void put(std::FILE* stream, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stream);
    std::fflush(stream);
}

}  // namespace

int main(int argc, char** argv) {
    struct sigaction action {};
    action.sa_handler = onInterrupt;
    action.sa_flags = SA_RESETHAND;  // a second Ctrl-C ends at once
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error of write(), told like a full disk
    signal(SIGPIPE, SIG_IGN);  // the same for a closed pipe

    try {
        if (const char* isa = std::getenv("REGAUGE_ISA")) regauge::forceInstructionSet(isa);  // for tests and benchmarks
    } catch (const regauge::Error& error) {
        put(stderr, "regauge: REGAUGE_ISA: " + std::string(error.what()) + "\n");
        return 2;
    }
    regauge::NativeFiles files;
    regauge::Host host{.files = files,
                       .out = [](std::string_view text) { put(stdout, text); },
                       .err = [](std::string_view text) { put(stderr, text); },
                       .errIsTerminal = isatty(STDERR_FILENO) == 1,
                       .cancelled = [] { return interrupted.load(); },
                       .threads = std::max(1U, std::thread::hardware_concurrency())};
    return regauge::runCommand({argv + 1, argv + argc}, host);
}

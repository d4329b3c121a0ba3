// The native command: hands the machine's files, streams and signals to runCommand.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

#if REGAUGE_MPI
#include "mpi_team.hpp"
#endif
#include "memory.hpp"
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
#if REGAUGE_MPI
    const std::unique_ptr<regauge::MpiTeam> team = regauge::MpiTeam::join();
#else
    const std::unique_ptr<regauge::Team> team;
#endif
    if (!team) {  // in an MPI job the launcher ends all ranks at once, and one that waits for the others could not
                  // listen
        struct sigaction action {};
        action.sa_handler = onInterrupt;
        action.sa_flags = SA_RESETHAND;  // a second Ctrl-C ends at once
        sigaction(SIGINT, &action, nullptr);
        sigaction(SIGTERM, &action, nullptr);
    }
    const bool speaks = !team || team->rank() == 0;
    signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error of write(), told like a full disk
    signal(SIGPIPE, SIG_IGN);  // the same for a closed pipe

    try {
        if (const char* isa = std::getenv("REGAUGE_ISA"))
            regauge::forceInstructionSet(isa);  // for tests and benchmarks
    } catch (const regauge::Error& error) {
        put(stderr, "regauge: REGAUGE_ISA: " + std::string(error.what()) + "\n");
        return 2;
    }
    regauge::NativeFiles files;
    unsigned processors = std::max(1U, std::thread::hardware_concurrency());
#if REGAUGE_MPI
    if (team) processors = std::max(1U, processors / team->onThisMachine());
#endif
    regauge::Host host{.files = files,
                       .out =
                           [=](std::string_view text) {
                               if (speaks) put(stdout, text);
                           },
                       .err =
                           [=](std::string_view text) {
                               if (speaks) put(stderr, text);
                           },
                       .errIsTerminal = isatty(STDERR_FILENO) == 1,
                       .cancelled = [] { return interrupted.load(); },
                       .threads = processors,
                       .memory = regauge::availableMemory,
                       .team = team.get()};
    const int status = regauge::runCommand({argv + 1, argv + argc}, host);
    return speaks ? status : 0;  // rank 0 answers for all: a launcher would kill it while another's status is not 0
}

// The native command: hands the machine's files, streams and signals to runCommand.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#if REGAUGE_MPI
#include "mpi_team.hpp"
#endif
#include "memory.hpp"
#include "native_files.hpp"
#include "out_of_memory.hpp"
#include "regauge/command.hpp"
#include "regauge/error.hpp"
#include "regauge/isa.hpp"

namespace {

std::atomic<bool> interrupted = false;  // lock-free: a signal handler may set it

void onInterrupt(int) { interrupted = true; }

bool put(std::FILE* stream, std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stream) == text.size() && std::fflush(stream) == 0;
}

// Standard output. A reader that went away (`regauge show g.json | head -1`) has what it wanted.
// Throws Error(writeFailed).
void answer(std::string_view text) {
    errno = 0;
    if (!put(stdout, text) && errno != EPIPE)
        throw regauge::Error(regauge::ErrorCode::writeFailed, "standard output",
                             std::string("the answer could not be written: ") + std::strerror(errno));
}

// Takes the numbers of standard streams that the caller closed, or an output file would get them, and answers and
// messages would land in it.
void keepStandardStreams() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0) std::_Exit(2);
}

}  // namespace

int main(int argc, char** argv) {
    keepStandardStreams();
    regauge::refuseWhereMemoryEnds();
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
        struct sigaction before {};
        sigaction(SIGHUP, nullptr, &before);
        if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);  // nohup asked to be left alone
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
                               if (speaks) answer(text);
                           },
                       .err =
                           [=](std::string_view text) {
                               if (speaks) put(stderr, text);
                           },
                       .errIsTerminal = isatty(STDERR_FILENO) == 1,
                       .cancelled = [] { return interrupted.load(); },
                       .threads = processors,
                       .memory = regauge::availableMemory,
                       .team = team.get(),
                       .withoutSync = [&] { files.sync = false; }};
    const int status = regauge::runCommand({argv + 1, argv + argc}, host);
    return speaks ? status : 0;  // rank 0 answers for all: a launcher would kill it while another's status is not 0
}

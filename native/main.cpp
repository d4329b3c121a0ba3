// The native command: hands the machine's files, streams and signals to runCommand.
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

#if REGAUGE_MPI
#include "mpi_team.hpp"
#endif
#include "memory.hpp"
#include "native_files.hpp"
#include "os.hpp"
#include "out_of_memory.hpp"
#include "regauge/command.hpp"
#include "regauge/error.hpp"
#include "regauge/isa.hpp"

namespace {

std::atomic<bool> interrupted = false;

bool put(std::FILE* stream, std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stream) == text.size() && std::fflush(stream) == 0;
}

// Standard output. A reader that went away (`regauge show g.json | head -1`) has what it wanted.
// Throws Error(writeFailed).
void answer(std::string_view text) {
    errno = 0;
    if (!put(stdout, text) && !regauge::os::readerWentAway(errno))
        throw regauge::Error(regauge::ErrorCode::writeFailed, "standard output",
                             std::string("the answer could not be written: ") + std::strerror(errno));
}

}  // namespace

int main(int argc, char** argv) {
    regauge::os::keepStandardStreams();
    regauge::refuseWhereMemoryEnds();
#if REGAUGE_MPI
    const std::unique_ptr<regauge::MpiTeam> team = regauge::MpiTeam::join();
#else
    const std::unique_ptr<regauge::Team> team;
#endif
    // In an MPI job the launcher ends all ranks at once, and one that waits for the others could not listen.
    if (!team) regauge::os::onInterrupt(interrupted);
    const bool speaks = !team || team->rank() == 0;
    regauge::os::prepareStreams();

    try {
        if (const auto isa = regauge::os::environment("REGAUGE_ISA"))
            regauge::forceInstructionSet(*isa);  // for tests and benchmarks
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
                       .errIsTerminal = regauge::os::errIsTerminal(),
                       .cancelled = [] { return interrupted.load(); },
                       .threads = processors,
                       .memory = regauge::availableMemory,
                       .team = team.get(),
                       .withoutSync = [&] { files.sync = false; }};
    const int status = regauge::runCommand(regauge::os::wordsOf(argc, argv), host);
    return speaks ? status : 0;  // rank 0 answers for all: a launcher would kill it while another's status is not 0
}

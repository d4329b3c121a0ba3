// MPI's own error handler stays: a lost rank ends the whole job, with MPI's message.
#include "mpi_team.hpp"

#define OMPI_SKIP_MPICXX 1  // the old C++ bindings, which nothing here needs
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <cstdlib>

namespace regauge {
namespace {

constexpr std::size_t mostAtOnce = std::size_t{1} << 24;  // counts are ints

unsigned ask(int (*what)(MPI_Comm, int*), MPI_Comm group) {
    int answer = 0;
    what(group, &answer);
    return static_cast<unsigned>(answer);
}

}  // namespace

std::unique_ptr<MpiTeam> MpiTeam::join() {
    // What the launchers set: Open MPI's mpirun; MPICH, Intel MPI and Slurm's PMI; PMIx.
    const auto isSet = [](const char* name) { return std::getenv(name) != nullptr; };
    if (!isSet("OMPI_COMM_WORLD_SIZE") && !isSet("PMI_RANK") && !isSet("PMIX_RANK")) return nullptr;
    std::unique_ptr<MpiTeam> team(new MpiTeam);
    return team->size() > 1 ? std::move(team) : nullptr;
}

MpiTeam::MpiTeam() {
    int given = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given);  // threads multiply, one thread talks
    rank_ = ask(MPI_Comm_rank, MPI_COMM_WORLD), size_ = ask(MPI_Comm_size, MPI_COMM_WORLD);
    MPI_Comm neighbours = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &neighbours);
    onThisMachine_ = ask(MPI_Comm_size, neighbours);
    MPI_Comm_free(&neighbours);
}

MpiTeam::~MpiTeam() { MPI_Finalize(); }

void MpiTeam::broadcast(std::span<std::byte> bytes, unsigned from) {
    while (!bytes.empty()) {
        const std::size_t here = std::min(bytes.size(), mostAtOnce);
        MPI_Bcast(bytes.data(), static_cast<int>(here), MPI_BYTE, static_cast<int>(from), MPI_COMM_WORLD);
        bytes = bytes.subspan(here);
    }
}

unsigned MpiTeam::lowest(unsigned value) {
    MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_UNSIGNED, MPI_MIN, MPI_COMM_WORLD);
    return value;
}

void MpiTeam::sumAtFirst(std::span<std::int64_t> values) {
    while (!values.empty()) {
        const std::size_t here = std::min(values.size(), mostAtOnce);
        const void* from = rank_ == 0 ? MPI_IN_PLACE : values.data();
        MPI_Reduce(from, rank_ == 0 ? values.data() : nullptr, static_cast<int>(here), MPI_INT64_T, MPI_SUM, 0,
                   MPI_COMM_WORLD);
        values = values.subspan(here);
    }
}

}  // namespace regauge

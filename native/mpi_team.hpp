// The ranks of an MPI job as a Team.
#pragma once

#include <memory>

#include "regauge/team.hpp"

namespace regauge {

class MpiTeam final : public Team {
public:
    // The job that mpirun or srun started this process in; nothing where it was started alone, so that MPI costs
    // nothing there.
    static std::unique_ptr<MpiTeam> join();
    ~MpiTeam() override;  // leaves the job

    unsigned rank() const override { return rank_; }
    unsigned size() const override { return size_; }
    unsigned onThisMachine() const { return onThisMachine_; }  // members that share its processors
    void broadcast(std::span<std::byte> bytes, unsigned from) override;
    unsigned lowest(unsigned value) override;
    void sumAtFirst(std::span<std::int64_t> values) override;

private:
    MpiTeam();
    unsigned rank_ = 0, size_ = 1, onThisMachine_ = 1;
};

}  // namespace regauge

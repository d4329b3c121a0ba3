// The sums of a site over the rows of all members of a team.
#pragma once

#include "pairing/site_sums.hpp"
#include "regauge/team.hpp"

namespace regauge {

// What rank 0 holds while it matches; the others are in helpMatch() meanwhile and leave it when this goes.
class TeamLead {
public:
    TeamLead(Team& team, const Evidence& source, const Evidence& target, const MatchOptions& options,
             const Progress& progress);
    TeamLead(const TeamLead&) = delete;
    TeamLead& operator=(const TeamLead&) = delete;
    ~TeamLead();

    // Every member sums its part of the rows; the total. Throws the errors of all members.
    CorrelationSums sum(const std::string& site, Resolution resolution) const;

private:
    Team& team_;
    const Evidence &source_, &target_;
    const MatchOptions& options_;
    const Progress& progress_;
};

}  // namespace regauge

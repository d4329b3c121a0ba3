// How the first member of a team has the others work with it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "regauge/evidence.hpp"
#include "regauge/team.hpp"

namespace regauge {

// A piece of work that all members do together: which kind, and on which sites, by their places in the source's and the
// target's lists.
struct TeamCall {
    std::uint32_t kind = 0, source = 0, target = 0;
};

// The place of a site for a call, and the site at a place. Files that differ may not even have it: then a name that no
// site has, so that summing refuses it, and everybody hears of that.
std::uint32_t placeOf(const Evidence& evidence, const std::string& site);
std::string siteAt(const Evidence& evidence, std::uint32_t place);

// What rank 0 holds while it leads; the others are in followTeam() meanwhile and leave it when this goes.
class TeamLead {
public:
    explicit TeamLead(Team& team) : team_(team) {}
    TeamLead(const TeamLead&) = delete;
    TeamLead& operator=(const TeamLead&) = delete;
    ~TeamLead();

    // The others begin the same work as the caller does after this.
    void call(TeamCall call) const;

private:
    Team& team_;
};

// Does what rank 0 calls for, until it has gone. An Error that `work` throws reaches all members alike (together()),
// and rank 0 tells it.
void followTeam(Team& team, const std::function<void(const TeamCall&)>& work);

// Throws Error(rowsMismatch) on all members where `mine` is another text than rank 0's of the same length: files that
// are another version of the same paths would spoil sums unseen.
void requireAgreement(Team& team, const std::string& mine, const std::string& where, const std::string& site);

}  // namespace regauge

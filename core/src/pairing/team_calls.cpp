#include "pairing/team_calls.hpp"

#include <algorithm>
#include <span>

#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::uint32_t nothingMore = UINT32_MAX;

// Rank 0's call, on all members.
TeamCall ofRank0(Team& team, TeamCall call = {}) {
    team.broadcast(std::as_writable_bytes(std::span(&call, 1)), 0);
    return call;
}

}  // namespace

std::uint32_t placeOf(const Evidence& evidence, const std::string& site) {
    const auto place = std::ranges::find(evidence.sites, site, &Site::name) - evidence.sites.begin();
    return static_cast<std::uint32_t>(place);
}

std::string siteAt(const Evidence& evidence, std::uint32_t place) {
    return place < evidence.sites.size() ? evidence.sites[place].name : "number " + std::to_string(place);
}

TeamLead::~TeamLead() { ofRank0(team_, {nothingMore, 0, 0}); }

void TeamLead::call(TeamCall call) const { ofRank0(team_, call); }

void followTeam(Team& team, const std::function<void(const TeamCall&)>& work) {
    try {
        for (TeamCall call = ofRank0(team); call.kind != nothingMore; call = ofRank0(team)) work(call);
    } catch (const Error&) {
        ofRank0(team);  // everybody has the error, and rank 0 still says goodbye
    }
}

void requireAgreement(Team& team, const std::string& mine, const std::string& where, const std::string& site) {
    std::string first = mine;
    team.broadcast(std::as_writable_bytes(std::span(first)), 0);
    together(team, [&] {
        if (mine != first)
            throw Error(ErrorCode::rowsMismatch, where,
                        "this process sees other rows of site '" + site +
                            "' than the first one; all of them must read the same files");
    });
}

}  // namespace regauge

// Sums over the rows of all members of a team.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "pairing/site_sums.hpp"
#include "pairing/team_calls.hpp"
#include "regauge/team.hpp"

namespace regauge {

// What of the rows this member sums; all of them where there is no team.
inline RowShare shareOf(const Team* team) {
    return team == nullptr ? RowShare{} : RowShare{0, team->rank(), team->size()};
}

// What the rows are and in which numbers they are summed, in one word: members that differ must not add up their sums.
std::string agreedWord(const SitePair& pair, const QuantizerPair& quantizers);

// Every member sums its part of the rows, `sumShare`, which says what all must agree on in words of one length; then
// all sums are added up at rank 0, `reduce` (CorrelationSums::reduce and the like). Throws the errors of all members.
// where, site: for messages.
using SumAtFirst = std::function<void(std::span<std::int64_t>)>;
void sumTogether(Team& team, const std::string& where, const std::string& site,
                 const std::function<std::string()>& sumShare, const std::function<void(const SumAtFirst&)>& reduce);

}  // namespace regauge

// Sums over the rows of all members of a team.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "pairing/site_sums.hpp"
#include "pairing/team_calls.hpp"
#include "regauge/team.hpp"

namespace regauge {

// What of the rows this member sums.
inline RowShare shareOf(const Team& team) { return {0, team.rank(), team.size()}; }

// A member's part of the sums, and in one word what all members must agree on to add theirs up.
template <class Sums>
struct SumsOfShare {
    std::string agreed;
    Sums sums;
};

// agreedWord of: the rows there are, and what numbers they are summed in.
std::string agreedWord(const SitePair& pair, const QuantizerPair& quantizers);

// Every member sums its part of the rows; the total, at rank 0. Throws the errors of all members. where, site: for the
// message.
template <class Sums>
Sums sumTogether(Team& team, const std::string& where, const std::string& site,
                 const std::function<SumsOfShare<Sums>()>& sumShare) {
    std::optional<SumsOfShare<Sums>> mine;
    together(team, [&] { mine.emplace(sumShare()); });
    requireAgreement(team, mine->agreed, where, site);
    const auto reduce = [&](auto& sums) {
        sums.reduce([&](std::span<std::int64_t> values) { team.sumAtFirst(values); });
    };
    if constexpr (requires { mine->sums.reduce(nullptr); })
        reduce(mine->sums);
    else
        for (auto& part : mine->sums) reduce(part);
    return std::move(mine->sums);
}

}  // namespace regauge

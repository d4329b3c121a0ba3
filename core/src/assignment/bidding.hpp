// Bidding: free rows raise the price of the column they want until it is worth no more to them than their next best.
#pragma once

#include <cstdint>
#include <vector>

#include "assignment/market.hpp"

namespace regauge::assignment {

using Rows = std::vector<std::uint32_t>;

// Augmenting row reduction: exact bids, each outbid row answering at once; at most `budget` bids. Every holder stays
// content.
// Returns the rows that are still free: those that could only trade ties back and forth, and those for which the budget
// was too small.
template <class Price>
Rows reduceRows(Market<Price>& market, const Rows& freeRows, std::uint64_t budget) {
    Rows left;
    for (std::size_t k = 0; k < freeRows.size(); ++k) {
        for (std::uint32_t i = freeRows[k]; i != nobody;) {
            market.tick(market.size() - left.size() - (freeRows.size() - k));
            auto o = market.offer(i);
            const bool tie = o.best == o.second;
            if (tie && market.holder(o.column) != nobody) {
                for (const auto& c : market.list(i)) {  // an equal column that nobody holds yet
                    if (market.holder(c.column) != nobody || c.score - market.prices()[c.column] != o.best) continue;
                    o.column = c.column;
                    o.score = c.score;
                    break;
                }
            }
            const std::uint32_t outbid = market.holder(o.column);
            if (budget == 0 || (tie && outbid != nobody)) {
                left.push_back(i);
                break;
            }
            --budget;
            market.raise(o.column, o.best - o.second);
            if (outbid != nobody) market.release(outbid);
            market.take(i, o.column, o.score);
            i = outbid;
        }
    }
    return left;
}

// An auction (Bertsekas 1988): free rows bid `epsilon` more than they need to, in rounds, until all rows hold a column
// or `budget` work is done; then every row that is not content gives its column up. freeRows: which are free before and
// after. Returns whether all held a column. Large steps move the prices of many contested columns together, where exact
// bids would creep: it is what tames scores of rank one.
template <class Price>
bool auction(Market<Price>& market, Rows& freeRows, Price epsilon, std::uint64_t budget) {
    Rows outbidRows;
    const std::uint64_t deadline = market.work() + budget;
    while (!freeRows.empty() && market.work() < deadline) {
        outbidRows.clear();
        for (const std::uint32_t i : freeRows) {
            market.tick(market.size() - freeRows.size());
            const auto o = market.offer(i);
            const std::uint32_t outbid = market.holder(o.column);
            market.raise(o.column, o.best - o.second + epsilon);
            if (outbid != nobody) {
                market.release(outbid);
                outbidRows.push_back(outbid);
            }
            market.take(i, o.column, o.score);
        }
        freeRows.swap(outbidRows);
    }
    const bool ended = freeRows.empty();
    freeRows.clear();
    for (std::uint32_t i = 0; i < market.size(); ++i) {
        if (market.column(i) != nobody && market.offer(i).best > market.value(i)) market.release(i);
        if (market.column(i) == nobody) freeRows.push_back(i);
    }
    return ended;
}

}  // namespace regauge::assignment

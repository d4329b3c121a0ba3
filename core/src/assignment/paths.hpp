// Shortest augmenting paths: the exact end of every assignment, over short lists, with the dense row behind them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <tuple>
#include <vector>

#include "assignment/market.hpp"

namespace regauge::assignment {

// Dijkstra from one free row at a time (Jonker and Volgenant 1987, over lists). A reached row offers the columns of its
// list; those that the list leaves out can matter only from distance + value(row) - bound(row) on. That distance is
// queued like a column's: when its turn comes, first the list is made anew, and where that is not enough the whole row
// is searched. So the paths are the shortest ones over all columns.
template <class Price>
class PathSearch {
public:
    explicit PathSearch(Market<Price>& market)
        : market_(market),
          distance_(market.size(), infinite),
          parent_(market.size(), nobody),
          rowDistance_(market.size(), 0),
          improved_(market.size()) {}

    // Gives each free row a column by shifting holders along a shortest path; every holder stays content. Stops between
    // two rows once `budget` work is done; returns the rows that are still free.
    std::vector<std::uint32_t> augment(const std::vector<std::uint32_t>& freeRows, std::uint64_t budget) {
        const std::uint64_t before = market_.work();
        std::size_t k = 0;
        for (; k < freeRows.size() && market_.work() - before < budget; ++k) {
            matched_ = market_.size() - freeRows.size() + k;
            augment(freeRows[k]);
        }
        return {freeRows.begin() + static_cast<std::ptrdiff_t>(k), freeRows.end()};
    }

private:
    static constexpr Price infinite = std::numeric_limits<Price>::max();
    static constexpr std::uint64_t reachWork = 8;  // measured: a list, and its share of the queue
    enum class Kind : std::uint32_t { column, staleRow, freshRow };
    struct Event {
        Price distance;
        std::uint32_t index;
        Kind kind;
        // A total order, so that every standard library pops the same event.
        bool operator>(const Event& other) const {
            return std::tie(distance, index, kind) > std::tie(other.distance, other.index, other.kind);
        }
    };

    void augment(std::uint32_t start) {
        start_ = start;
        startValue_ = market_.offer(start).best;
        end_ = nobody;
        endDistance_ = infinite;
        reach(start, 0);
        while (!heap_.empty()) {
            std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
            const Event e = heap_.back();
            heap_.pop_back();
            if (e.distance >= endDistance_) break;
            visit(e);
        }
        for (const std::uint32_t j : settled_) market_.raise(j, endDistance_ - distance_[j]);
        for (std::uint32_t j = end_;;) {
            const std::uint32_t i = parent_[j];
            const std::uint32_t previous = market_.column(i);
            market_.take(i, j, market_.row(i)[j]);
            if (i == start) break;
            j = previous;
        }
        if (touched_.size() > market_.size()) std::fill(distance_.begin(), distance_.end(), infinite);
        for (const std::uint32_t j : touched_) distance_[j] = infinite;
        touched_.clear();
        settled_.clear();
        heap_.clear();
    }

    void visit(const Event& e) {
        switch (e.kind) {
            case Kind::column:
                if (e.distance > distance_[e.index]) break;  // a longer way, found earlier
                settled_.push_back(e.index);
                reach(market_.holder(e.index), e.distance);
                break;
            case Kind::staleRow:
                market_.refresh(e.index);
                relaxList(e.index);
                queue({rowDistance_[e.index] + valueOf(e.index) - market_.bound(e.index), e.index, Kind::freshRow});
                break;
            case Kind::freshRow: relaxRow(e.index); break;
        }
    }

    Price valueOf(std::uint32_t i) const { return i == start_ ? startValue_ : market_.value(i); }

    void queue(Event e) {
        if (e.distance >= endDistance_) return;
        if (heap_.size() >=
            4 * market_.size()) {  // longer ways that were bettered since: without them there are at most 2 n events
            std::erase_if(heap_, [this](const Event& old) {
                return old.kind == Kind::column && old.distance > distance_[old.index];
            });
            std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
        }
        heap_.push_back(e);
        std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    }

    void reach(std::uint32_t i, Price distance) {
        if (distance > Market<Price>::limit) throw PriceOverflow{};
        market_.tick(matched_);
        market_.addWork(reachWork);
        rowDistance_[i] = distance;
        if (market_.list(i).empty()) market_.refresh(i);
        relaxList(i);
        queue({distance + valueOf(i) - market_.bound(i), i, Kind::staleRow});
    }

    // Kept out of line for V8, like Market::look.
    [[gnu::noinline]] void relaxList(std::uint32_t i) {
        const Price base = rowDistance_[i] + valueOf(i);
        for (const auto& c : market_.list(i)) {
            const Price d = base - (c.score - market_.prices()[c.column]);
            if (d >= distance_[c.column] || d >= endDistance_) continue;
            if (distance_[c.column] == infinite && touched_.size() <= market_.size()) touched_.push_back(c.column);
            distance_[c.column] = d;
            improve(c.column, i, d);
        }
    }

    void relaxRow(std::uint32_t i) {
        market_.addWork(market_.size() / 64);
        const std::size_t count =
            market_.scan().relax(market_.row(i), market_.prices().data(), market_.size(), rowDistance_[i] + valueOf(i),
                                 endDistance_, distance_.data(), improved_.data());
        // Free columns first: they shorten what is worth queueing, down to nothing where many columns tie.
        for (std::size_t k = 0; k < count; ++k) {
            const std::uint32_t j = improved_[k];
            if (touched_.size() <= market_.size()) touched_.push_back(j);  // perhaps once more; past n, all are reset
            if (market_.holder(j) == nobody) improve(j, i, distance_[j]);
        }
        for (std::size_t k = 0; k < count; ++k) {
            const std::uint32_t j = improved_[k];
            if (market_.holder(j) != nobody && distance_[j] < endDistance_) improve(j, i, distance_[j]);
        }
    }

    // A shorter way to column j, by row i.
    void improve(std::uint32_t j, std::uint32_t i, Price d) {
        parent_[j] = i;
        if (market_.holder(j) != nobody) {
            queue({d, j, Kind::column});
        } else if (d < endDistance_) {
            endDistance_ = d;
            end_ = j;
        }
    }

    Market<Price>& market_;
    std::vector<Price> distance_;          // per column, of the shortest way known
    std::vector<std::uint32_t> parent_;    // per column: the row it was reached from
    std::vector<Price> rowDistance_;       // per reached row
    std::vector<std::uint32_t> improved_;  // what the last dense search reached
    std::vector<std::uint32_t> touched_;   // columns whose distance_ must be reset
    std::vector<std::uint32_t> settled_;   // columns whose distance is final
    std::vector<Event> heap_;
    std::uint32_t start_ = nobody;
    Price startValue_ = 0;
    std::uint32_t end_ = nobody;  // the free column at the end of the shortest path so far
    Price endDistance_ = infinite;
    std::size_t matched_ = 0;
};

}  // namespace regauge::assignment

// What every phase of the assignment shares: prices, who holds what, and for each row a short list of its best columns.
//
// Rows buy columns. Row i values column j at score[i][j] - price[j]. Two things make the short lists exact:
//   * prices only rise, so a bound on the columns that a list leaves out stays a bound;
//   * outside of an auction every holder is content: it values no column more than its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "kernels/row_scan.hpp"
#include "regauge/progress.hpp"

namespace regauge::assignment {

// Thrown where 32-bit prices do not reach; the caller starts again with 64 bits.
struct PriceOverflow {};

inline constexpr std::uint32_t nobody = std::numeric_limits<std::uint32_t>::max();

// Price is int32_t (dense passes run twice as fast) or int64_t (reaches for every n that fits memory).
template <class Price>
class Market {
public:
    // Scores and prices stay within +-limit, so values within 2 limit, path lengths plus two values within 5 limit:
    // nothing overflows.
    static constexpr Price limit = std::numeric_limits<Price>::max() / 8;
    static constexpr Price lowest = -4 * limit;  // below every value

    struct Candidate {
        std::uint32_t column;
        std::int32_t score;
    };
    // The column that a row values most, its value, and at least the value of every other.
    struct Offer {
        std::uint32_t column;
        std::int32_t score;
        Price best;
        Price second;
    };

    Market(std::span<const std::int32_t> score, std::size_t n, const Progress& progress)
        : n_(n),
          scores_(score.data()),
          scan_(kernels::rowScan(kernels::activeIsa()).priced<Price>()),
          capacity_(std::min(n, listCapacity)),
          lists_(std::make_unique_for_overwrite<Candidate[]>(n * capacity_)),
          counts_(n, 0),
          bounds_(n, 0),
          prices_(n, 0),
          holder_(n, nobody),
          column_(n, nobody),
          held_(n, 0),
          progress_(progress) {}

    std::size_t size() const { return n_; }
    const std::int32_t* row(std::size_t i) const { return scores_ + i * n_; }
    const kernels::PricedScan<Price>& scan() const { return scan_; }
    const std::vector<Price>& prices() const { return prices_; }
    const std::vector<std::uint32_t>& columns() const { return column_; }

    std::uint32_t holder(std::uint32_t j) const { return holder_[j]; }
    std::uint32_t column(std::size_t i) const { return column_[i]; }
    std::int32_t held(std::size_t i) const { return held_[i]; }
    // What the column that row i holds is worth to it.
    Price value(std::size_t i) const { return held_[i] - prices_[column_[i]]; }

    void take(std::size_t i, std::uint32_t j, std::int32_t score) {
        holder_[j] = static_cast<std::uint32_t>(i);
        column_[i] = j;
        held_[i] = score;
    }
    void release(std::size_t i) {
        holder_[column_[i]] = nobody;
        column_[i] = nobody;
    }
    void raise(std::uint32_t j, Price by) {
        if ((prices_[j] += by) > limit) throw PriceOverflow{};
    }

    // Some of the best columns of row i, unordered; empty until it is first asked for an offer.
    std::span<const Candidate> list(std::size_t i) const { return {lists_.get() + i * capacity_, counts_[i]}; }
    // No column that list(i) leaves out is worth more to row i.
    Price bound(std::size_t i) const { return bounds_[i]; }

    // The best of all n columns for row i: from its list where that is conclusive, otherwise from a new one.
    Offer offer(std::size_t i) {
        ++work_;
        Offer o = look(i);
        if (counts_[i] == 0 || o.second < bounds_[i]) {
            refresh(i);
            o = look(i);
            o.second = std::max(o.second, bounds_[i]);  // a list of one column only bounds the rest
        }
        return o;
    }

    // Makes list(i) anew, from today's prices: about listTarget of the best columns. O(n).
    void refresh(std::size_t i) {
        work_ += refreshWork();
        const std::int32_t* score = row(i);
        Candidate* list = lists_.get() + i * capacity_;
        if (n_ <= capacity_) {
            for (std::uint32_t j = 0; j < n_; ++j) list[j] = {j, score[j]};
            counts_[i] = static_cast<std::uint32_t>(n_);
            bounds_[i] = lowest;
            return;
        }
        Price stripes[kernels::scanStripes];
        scan_.stripeMaxima(score, prices_.data(), n_, stripes);
        std::uint32_t found[listCapacity];
        std::ptrdiff_t wanted = listTarget;
        Price threshold = reachedBy(stripes, wanted);
        std::size_t count = scan_.collect(score, prices_.data(), n_, threshold, found, capacity_);
        while (count > capacity_ && wanted > 1) {  // values tie, or crowd in few stripes: ask for fewer
            wanted /= 4;
            threshold =
                wanted > 1 ? reachedBy(stripes, wanted) : *std::max_element(std::begin(stripes), std::end(stripes));
            count = scan_.collect(score, prices_.data(), n_, threshold, found, capacity_);
        }
        // Where even the best value is shared by more columns than a list holds, the first of them must do, and the
        // bound says so.
        bounds_[i] = count > capacity_ ? threshold : threshold - 1;
        count = std::min(count, capacity_);
        for (std::size_t k = 0; k < count; ++k) list[k] = {found[k], score[found[k]]};
        counts_[i] = static_cast<std::uint32_t>(count);
    }

    // Work done so far, for budgets: a count, so that it is the same on every machine. Its unit is looking over one
    // list (about 40 ns).
    std::uint64_t work() const { return work_; }
    void addWork(std::uint64_t units) { work_ += units; }
    // The work of making all lists anew.
    std::uint64_t fullPass() const { return n_ * refreshWork(); }

    // To be called often: tells the face now and then how many rows are matched, and lets it cancel.
    void tick(std::size_t matched) {
        if (++ticks_ % 1024 != 0) return;
        reported_ = std::max(reported_, matched);
        progress_.report("assigning", reported_, n_);
    }

private:
    static constexpr std::ptrdiff_t listTarget = 16;
    static constexpr std::size_t listCapacity = 32;

    // A threshold that at least `wanted` of the stripes reach, and few more unless they tie. Bisection: it has no
    // branches to mispredict.
    static Price reachedBy(const Price (&stripes)[kernels::scanStripes], std::ptrdiff_t wanted) {
        Price low = std::max(lowest, *std::min_element(std::begin(stripes), std::end(stripes)));
        Price high = *std::max_element(std::begin(stripes), std::end(stripes)) + 1;  // reached by none
        while (high - low > 1) {
            const Price middle = low + (high - low) / 2;
            const auto reached =
                std::count_if(std::begin(stripes), std::end(stripes), [middle](Price x) { return x >= middle; });
            if (reached < wanted) {
                high = middle;
            } else {
                low = middle;
                if (reached <= wanted + wanted / 4) break;
            }
        }
        return low;
    }

    std::uint64_t refreshWork() const { return n_ / 64 + 4; }

    // Kept out of line: a phase calls it many times, and V8 optimises a WebAssembly function only from its next call
    // on.
    [[gnu::noinline]] Offer look(std::size_t i) const {
        Offer o{0, 0, lowest, lowest};
        for (const Candidate& c : list(i)) {
            const Price v = c.score - prices_[c.column];
            if (v > o.best)
                o = {c.column, c.score, v, o.best};
            else if (v > o.second)
                o.second = v;
        }
        return o;
    }

    std::size_t n_;
    const std::int32_t* scores_;
    const kernels::PricedScan<Price>& scan_;
    std::size_t capacity_;
    std::unique_ptr<Candidate[]> lists_;  // capacity_ per row; not even touched for rows that never ask
    std::vector<std::uint32_t> counts_;   // of them in use
    std::vector<Price> bounds_;
    std::vector<Price> prices_;          // per column
    std::vector<std::uint32_t> holder_;  // per column: a row, or nobody
    std::vector<std::uint32_t> column_;  // per row: a column, or nobody
    std::vector<std::int32_t> held_;     // per row: the score of its column
    const Progress& progress_;
    std::uint64_t work_ = 0;
    std::uint64_t ticks_ = 0;
    std::size_t reported_ = 0;
};

}  // namespace regauge::assignment

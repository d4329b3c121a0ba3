// An answer and how sure it is: what every stage of matching takes, and what it gives, better or the same.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "match/confidence.hpp"
#include "scores/block.hpp"

namespace regauge {

struct Estimate {
    Gauge gauge = Gauge::identity(0);
    std::vector<double> probability;    // per target channel: its partner and sign are right
    std::shared_ptr<const Block> rows;  // the scores of rows that it comes from
    Margins margins;                    // of the gauge in them, in spreads
    double similarity = 1;              // of one spread of them
    double agreement = 0;               // of the answers of their halves
    std::string_view statistic;         // that they are: "whitened" or "correlation"
    std::shared_ptr<const ScoreMatrix>
        scores;                  // that the gauge is best in, in spreads, where they are more than those of rows
    bool placedByGains = false;  // together with rows

    double expected() const { return mean(probability); }  // share of right channels
};

}  // namespace regauge

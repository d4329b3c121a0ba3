// Audit: how far a claim about channel numbers survives a change of gauge, read as it stands and transported.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "regauge/alignment.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/progress.hpp"

namespace regauge {

struct AuditOptions {
    std::optional<std::string> kind;  // overrides recognition by content
    std::size_t k = 10;               // of the top-k
    std::uint64_t gauges = 1000;      // random gauges to draw
    std::uint64_t seed = 0;
    std::size_t d = 0;  // width of the residual stream, which a list does not tell; 0: from the object or the gauge
};

// What is compared, between the claim and what is true of the moved model. x: the claim's values by channel, y: the
// same in the moved model.
template <class Number>
struct Survival {
    std::optional<Number> overlap;  // Jaccard index of the top-k channels by |value|
    std::optional<Number> rank;     // Spearman's correlation of |x[i]| and |y[i]| over all d channels i, ties at their
                                    // mean rank; nothing where all are equal
    std::optional<Number> sign;     // share of the top-k whose stated sign is right once the channel itself is found;
                                    // nothing where no signs are stated
};

// Over the gauges that were drawn; percentiles by nearest rank.
struct Spread {
    double mean = 0, low = 0, high = 0;  // 5th and 95th percentile
};

struct AuditReport {
    std::string object, description;
    std::size_t d = 0, k = 0;
    std::size_t claims = 0;  // vectors in the object, or 1 list; the numbers are means over them
    std::uint64_t gauges = 0, seed = 0;
    Survival<Spread> notMoved;            // the claim read in the moved model as it stands
    Survival<Spread> moved;               // transported by the code that `transport` runs: 1, or transport is wrong
    Survival<double> chance;              // expected where nothing survives
    std::vector<Survival<double>> drawn;  // what notMoved summarises: one of each random gauge
    struct OneGauge {
        std::string fingerprint, source, target;
        Survival<double> notMoved, moved;
    };
    std::optional<OneGauge> gauge;  // the same for the gauge that was given
    bool survives = true;           // every `moved` is exactly 1
    std::string statement;          // to paste into a paper
};

// The object: a vector or rows of vectors (a last axis in residual coordinates), or a list of channels (JSON or CSV)
// with values, with attributions or in order of importance. In a list, channels that are not named count as 0, and a
// channel that is named more than once counts with its largest value.
// Draws `gauges` random gauges, uniform over B_d and the same on every target, and for each compares the claim with the
// same claim in the moved model, taken from the definition (y[i] = sign[i] * x[perm[i]]). gauge: one more, for its own
// numbers.
// Throws Error: usage (a list without d; k or gauges of 0), dimensionMismatch, unsupported (no vector, no list; a list
// of one polarity), wrongDtype, notFinite, undeterminedSign, cancelled, and those of planTransport.
// Time O(gauges * claims * d), memory O(claims * d).
AuditReport audit(const Files& files, const std::string& object, const std::optional<Alignment>& gauge,
                  const AuditOptions& options = {}, const Progress& progress = {});

}  // namespace regauge

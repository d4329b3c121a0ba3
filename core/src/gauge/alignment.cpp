// The algebra of alignments.
#include <algorithm>
#include <utility>

#include "regauge/alignment.hpp"

namespace regauge {
namespace {

// out[i] = values[from[i]]; nothing of nothing.
template <class Value>
std::vector<Value> gather(const std::vector<Value>& values, const std::vector<std::uint32_t>& from) {
    std::vector<Value> out;
    if (!values.empty())
        for (const std::uint32_t channel : from) out.push_back(values[channel]);
    return out;
}

// The channel-wise minimum of two lists in the second's order; the one there is, where there is one.
template <class Value>
std::vector<Value> weaker(const std::vector<Value>& first, const std::vector<Value>& next,
                          const std::vector<std::uint32_t>& from) {
    std::vector<Value> out = gather(first, from);
    if (out.empty()) return next;
    for (std::size_t i = 0; i < next.size(); ++i) out[i] = std::min(out[i], next[i]);
    return out;
}

}  // namespace

Alignment inverse(const Alignment& alignment) {
    Alignment inverted = alignment;
    inverted.gauge = alignment.gauge.inverse();
    inverted.score = gather(alignment.score, inverted.gauge.perm());
    inverted.margin = gather(alignment.margin, inverted.gauge.perm());
    inverted.confidence = gather(alignment.confidence, inverted.gauge.perm());
    std::swap(inverted.source, inverted.target);
    return inverted;
}

Alignment then(const Alignment& first, const Alignment& next) {
    Alignment composed;
    composed.gauge = first.gauge.then(next.gauge);
    composed.group = first.group == next.group ? first.group : Group::signedPermutation;
    composed.verdict = std::max(first.verdict, next.verdict);  // the enum runs from sure to unsure
    composed.estimate = first.estimate * next.estimate;
    if (composed.estimate < leastAligned) composed.verdict = std::max(composed.verdict, Verdict::partial);
    composed.agreement = std::min(first.agreement, next.agreement);
    composed.score = weaker(first.score, next.score, next.gauge.perm());
    composed.margin = weaker(first.margin, next.margin, next.gauge.perm());
    composed.confidence = weaker(first.confidence, next.confidence, next.gauge.perm());
    composed.rows = std::min(first.rows, next.rows);
    composed.statistic = "composed";
    composed.source = first.source;
    composed.target = next.target;
    return composed;
}

}  // namespace regauge

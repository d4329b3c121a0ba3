// An alignment: a gauge, how sure it is of each channel, and where it comes from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/gauge.hpp"

namespace regauge {

enum class Group {
    signedPermutation,  // "signed": B_d, what RMSNorm leaves free; sign-marginalized matching
    permutation,        // "permutation": S_d, the baseline that misses sign flips; raw signed matching
    layernorm,          // "layernorm": S_d and one global sign
};
enum class Statistic { automatic, correlation, whitened };
enum class Verdict { aligned, partial, unrelated };
// "aligned" says that at least this share of the channels is estimated right (match/policy.hpp has its origin).
inline constexpr double leastAligned = 0.90;
// "signed", "permutation", "layernorm"; "auto", "correlation", "whitened"; "aligned", "partial", "unrelated": the words
// of flags and files.
std::string_view name(Group);
std::string_view name(Statistic);
std::string_view name(Verdict);
std::optional<Group> groupFromName(std::string_view);
std::optional<Statistic> statisticFromName(std::string_view);
std::optional<Verdict> verdictFromName(std::string_view);

// What one site said on its own.
struct SiteReport {
    std::string name;            // a site, or "gains"
    std::string statistic;       // of its own answer: "correlation", "ridge", "soft", "medium", "whitened" or "gains"
    std::uint64_t rows = 0;      // rows summed
    std::uint64_t setAside = 0;  // massive rows: not in the scores, and asked where the rest leave doubts
    double meanScore = 0;        // of its own answer
    double agreement = 0;        // of the answers of two halves of its rows
    double estimate = 0;         // estimated share of right channels if it were used alone
    double weight = 0;           // in the fused score; 0: left out
    Gauge gauge = Gauge::identity(0);  // its own answer
};

// A gauge and how sure it is. Scores and margins are per target channel.
struct Alignment {
    Gauge gauge = Gauge::identity(0);
    Group group = Group::signedPermutation;
    Verdict verdict = Verdict::aligned;
    double estimate = 1;             // estimated share of right channels; NaN: not judged
    double agreement = 1;            // of the answers of two halves of the rows
    std::vector<double> score;       // similarity of the matched pair, 0 .. 1
    std::vector<double> margin;      // how far it stands above the best alternative
    std::vector<double> confidence;  // probability that the channel is matched right
    std::uint64_t rows = 0;
    std::string statistic = "none";
    double lambda = 0;  // of the whitening; 0 where there is none
    std::vector<SiteReport> sites;
    struct Side {
        std::string name;
        std::string sha256;
    } source, target;
};

// The same alignment read backwards, and two alignments one after the other. Per-channel scores and margins follow
// their channels; a composition is as sure as its weaker part, and aligned only where its estimate is. Throws
// Error(dimensionMismatch).
Alignment inverse(const Alignment& alignment);
Alignment then(const Alignment& first, const Alignment& next);

}  // namespace regauge

// What the evidence of a pair says, gathered before anything is decided. Stages of matching (stages.hpp) only read it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "match/gain_scores.hpp"
#include "match/massive_rows.hpp"
#include "match/refine.hpp"
#include "numeric/symmetric.hpp"
#include "pairing/site_sums.hpp"
#include "regauge/match.hpp"

namespace regauge {

// Plain correlation of one site.
struct PlainRows {
    std::uint64_t rows = 0;
    std::shared_ptr<const Block> block;
    Symmetric gramX, gramY;
};

struct Clues {
    Group group = Group::signedPermutation;
    unsigned threads = 1;
    bool whitened = false;
    std::shared_ptr<const Block> rows;  // the statistics of all sites, fused
    double similarity = 1;              // of one spread of them
    double advantage = 0;               // the largest of all blocks
    std::optional<GainMatch> gains;     // those that take part
    std::vector<Structure> structures;  // that a refinement asks; none where the rows are beyond doubt
    std::vector<Levels> levels;         // of massive rows, where they are to be asked
    std::optional<PlainRows> plain;     // of the site with the largest advantage, where there is a doubt
    std::optional<ScoreMatrix> soft;    // the weakest whitening of the site with the largest weight, where there is one
    std::vector<std::uint32_t> copiesX,
        copiesY;  // how many channels are indistinguishable from this one, itself included
};

// Asks the sites in order, and the gains. `reports` takes what each said on its own.
Clues gatherClues(const Evidence& source, const Evidence& target, const std::vector<std::string>& sites,
                  const MatchOptions& options, const SumsOf& sumsOf, std::vector<SiteReport>& reports,
                  const Progress& progress);

SiteReport gainsReport(const GainMatch& gains, double weight);

}  // namespace regauge

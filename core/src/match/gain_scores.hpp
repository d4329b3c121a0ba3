// RMSNorm gains as evidence: they permute with the channels and take no sign, so they say which channel is which and
// never its sign.
#pragma once

#include "regauge/evidence.hpp"
#include "regauge/progress.hpp"
#include "scores/block.hpp"

namespace regauge {

// What the gain vectors that both sides have say, on their own.
struct GainMatch {
    std::size_t vectors = 0;  // how many both sides have, by name
    ScoreMatrix scores;  // minus the squared distance of channels' gains, each vector in units of its spread, at most 9
                         // a vector
    std::vector<std::uint32_t> perm;  // the nearest assignment
    std::vector<double> confidence;   // per target channel: its posterior against every other source channel, all of
    // them scaled down to what their halves bear out
    double variance = 1;   // of the difference of matched channels' gains, in squared spreads
    double borneOut = 0;   // what the posteriors were scaled by
    double agreement = 0;  // of the answers of every other vector with those of the rest; 0 where there is one vector
};

// Throws Error(dimensionMismatch) where lengths differ. vectors = 0 where the sides share none.
GainMatch matchGainVectors(const Evidence& source, const Evidence& target, unsigned threads, const Progress& progress);

// How likely every source channel is the partner of target channel i, by gains alone: rows add up to one. Where halves
// do not bear the posteriors out, every channel is as likely.
ScoreMatrix likelyPlaces(const GainMatch& gains, unsigned threads);

// Gains beside rows that are beyond doubt: they decide what the rows leave open (constant and duplicated channels) and
// little more, so they count at most one spread. Adds to the size of z, never to its sign.
void addGains(ScoreMatrix& z, const GainMatch& gains);

}  // namespace regauge

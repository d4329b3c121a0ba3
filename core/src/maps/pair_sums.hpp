// Fitting maps to sums from anywhere: read here, by a team, or from statistics files.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "maps/joint_sums.hpp"
#include "maps/ladder.hpp"
#include "pairing/site_sums.hpp"
#include "regauge/map.hpp"

namespace regauge {

// What a map of one pair of sites is fitted to and judged by, to be asked for when its turn comes.
struct PairSums {
    std::string sourceSite, targetSite;
    std::size_t sourceWidth = 0, targetWidth = 0;
    std::string where;                               // what refusals name
    std::function<JointSums()> joint;                // settled
    std::function<SumsOfHalves(Resolution)> halves;  // for the gauge; of one width only
};

// What is to be held: the sums of one pair, of two while they are merged, or what fitting takes.
enum class MapWork { sum, merge, fit };
// Refuses what cannot fit into memory before anything is allocated: Error(tooLarge). memory: bytes; 0: nobody knows.
void requireMapMemory(std::uint64_t sourceWidth, std::uint64_t targetWidth, MapWork work, std::uint64_t memory,
                      const std::string& where);

// The moments of a pair, and how many massive rows were left out. Throws Error: rowsMismatch (too few rows), tooLarge,
// and what the sums throw.
Sides sidesOf(const PairSums& pair, const MapOptions& options, std::uint64_t& setAside);

// The pairs of sites whose rows pair by position.
std::vector<SitesOfMap> pairsOfSites(const Evidence& source, const Evidence& target);

// Throws Error(usage) where a family needs one width and there are two. To be asked before any rows are read.
void requireFamilyFits(std::optional<MapFamily> family, std::size_t sourceWidth, const std::string& source,
                       std::size_t targetWidth, const std::string& target);

// One map. Throws Error: rowsMismatch, tooLarge, usage, cancelled, and what the sums throw.
Map fitPair(const PairSums& pair, const MapOptions& options, const Progress& progress);

}  // namespace regauge

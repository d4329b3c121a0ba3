// The rungs of the ladder between two sites: each fitted to one half of the rows and judged on the other.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "maps/fitted.hpp"
#include "maps/joint_sums.hpp"
#include "regauge/map.hpp"
#include "regauge/progress.hpp"

namespace regauge {

// The moments of the halves and of all rows.
struct Sides {
    std::array<Moments, 2> half;
    Moments all;
    Sides exchanged() const;
};

// What a rung gives, fitted to each half.
struct Rung {
    MapFamily family = MapFamily::identity;
    std::array<Fitted, 2> half;
    std::array<std::vector<double>, 2> image;  // of each half's map, by the other half's moments (imageOf)
    Residuals held;                            // of each half's map on the other half
    double ridge = 0;                          // of all rows, where the map is affine
};

// A penalty in units of the mean variance of the source's channels times the rows, as scikit-learn's alpha.
double penaltyOf(const Moments& moments, double relative);

// Penalties that are tried: 4^smallestPower to 4^largestPower of that unit.
constexpr int largestPower = 6, smallestPower = -12;

class Ladder {
public:
    // What is given is kept by reference.
    Ladder(const Sides& sides, unsigned threads, const Progress& progress)
        : sides_(sides), threads_(threads), progress_(progress) {}

    // fit(k): the map of half k.
    template <class Fit>
    Rung rung(MapFamily family, Fit&& fit) const {
        Rung result{family, {fit(0), fit(1)}, {}, {}, 0};
        judge(result);
        return result;
    }
    // The mean of each half alone: what every rung must beat.
    Rung mean() const;
    // ridge: of all rows; nothing: the power of 4 with the least held-out error.
    Rung affine(std::optional<double> ridge) const;

    // Fills in images and residuals of the halves' maps.
    void judge(Rung& rung) const;

    // Standard error of the difference of two rungs' summed squared errors, if a row's errors are normal; the channels'
    // errors may go together, so their standard errors are added.
    double standardError(const Rung& a, const Rung& b) const;

private:
    double errorAt(int power, std::span<const std::size_t> targets) const;
    int chosenPower() const;

    const Sides& sides_;
    unsigned threads_;
    const Progress& progress_;
};

}  // namespace regauge

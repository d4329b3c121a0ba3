// Line charts and grouped bars as SVG, readable on light and dark grounds; the style of `regauge ceiling`.
#pragma once

#include <string>
#include <vector>

namespace regauge::experiments {

inline constexpr const char* blue = "#3b82f6";
inline constexpr const char* orange = "#d97706";
inline constexpr const char* green = "#059669";
inline constexpr const char* red = "#dc2626";
inline constexpr const char* violet = "#8b5cf6";
inline constexpr const char* grey = "#6b7280";

// y with a whisker from low to high at each x. Points that are not finite are left out.
struct Series {
    std::string name;
    const char* colour = blue;
    std::vector<double> x, y, low, high;
    bool dashed = false;
};

struct Axis {
    std::string label;
    double low = 0, high = 1;
    bool logarithmic = false;
    std::vector<double> ticks;
    std::vector<std::string> words;  // of the ticks; empty: numbers
};

std::string lineChart(const std::string& title, const Axis& x, const Axis& y, const std::vector<Series>& series);

// A group a word of x, a bar a series (its y has one value a group).
std::string barChart(const std::string& title, const std::vector<std::string>& groups, const Axis& y,
                     const std::vector<Series>& series);

}  // namespace regauge::experiments

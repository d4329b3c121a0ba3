// Moves a vector by a small gauge through the installed headers and library, directly and in a shared library, and says
// what is wrong if it is.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "regauge/gauge.hpp"
#include "regauge/io/gauge_json.hpp"

std::size_t widthOf(const std::string& path);  // plugin.cpp

int main() {
    const regauge::Gauge gauge({2, 0, 1}, {1, -1, 1});
    const std::vector<float> moved = regauge::apply(gauge, std::vector<float>{10, 20, 30});
    const std::vector<float> back = regauge::apply(gauge.inverse(), moved);
    if (moved != std::vector<float>{30, -10, 20} || back != std::vector<float>{10, 20, 30}) {
        std::fputs("consumer: the gauge moved the vector wrongly\n", stderr);
        return 1;
    }
    regauge::Alignment alignment;
    alignment.gauge = gauge;
    std::ofstream("consumer-gauge.json") << regauge::toJson(alignment);
    const bool right = widthOf("consumer-gauge.json") == 3 && widthOf("consumer-missing.json") == 0;
    std::remove("consumer-gauge.json");
    if (right) return 0;
    std::fputs("consumer: the shared library read the gauge wrongly\n", stderr);
    return 1;
}

// Moves a vector by a small gauge through the installed headers and library, and says what is wrong if it is.
#include <cstdio>
#include <vector>

#include "regauge/gauge.hpp"

int main() {
    const regauge::Gauge gauge({2, 0, 1}, {1, -1, 1});
    const std::vector<float> moved = regauge::apply(gauge, std::vector<float>{10, 20, 30});
    const std::vector<float> back = regauge::apply(gauge.inverse(), moved);
    if (moved == std::vector<float>{30, -10, 20} && back == std::vector<float>{10, 20, 30}) return 0;
    std::fputs("consumer: the gauge moved the vector wrongly\n", stderr);
    return 1;
}

// Statistics files of release 0.1, whose coarse sums have eight bits.
#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "memory_files.hpp"
#include "regauge/command.hpp"
#include "regauge/gauge.hpp"
#include "regauge/statistics.hpp"
#include "rows_fixture.hpp"

using namespace regauge;
using namespace regauge::test;

namespace {

// Written by regauge 0.1 of 256 rows of NumPy's default_rng(18), d = 8, noise 0.3, moved by the gauge below.
std::string eightBits() {
    std::ifstream file(std::string(REGAUGE_TEST_DATA) + "/fixtures/eight_bits.stats", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

const Gauge planted({6, 3, 1, 4, 5, 2, 0, 7}, {-1, -1, -1, 1, 1, -1, 1, -1});

}  // namespace

TEST_CASE("statistics of release 0.1 still give their gauge") {
    MemoryFiles files;
    files.put("eight_bits.stats", eightBits());
    const Statistics statistics(files.open("eight_bits.stats"));
    CHECK(statistics.quantizers(0, Resolution::coarse).x.limit == 127);
    CHECK(match(statistics).gauge.fingerprint() == planted.fingerprint());
}

TEST_CASE("rows go on being summed in eight bits where statistics of release 0.1 say so, on every instruction set") {
    MemoryFiles files;
    files.put("eight_bits.stats", eightBits());
    const Statistics statistics(files.open("eight_bits.stats"));
    const QuantizerPair quantizers = statistics.quantizers(0, Resolution::coarse);
    const testing::RowPair more(300, 8);
    const auto summed = [&] {
        CorrelationSums sums(quantizers.x, quantizers.y, true);
        sums.add(more.x.view(), more.y.view(), 256, "x", "y");
        sums.merge(statistics.sums(0, Resolution::coarse));
        return sums.serialize();
    };
    const auto wanted = summed();
    testing::onEveryInstructionSet([&](std::string_view isa) {
        INFO(isa);
        CHECK(summed() == wanted);
    });
}

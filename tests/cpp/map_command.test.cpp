// What the command says of maps: the hint that `align` gives where no gauge is found, and that it works as printed.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "command_run.hpp"
#include "memory_files.hpp"
#include "regauge/io/safetensors_writer.hpp"
#include "rows_fixture.hpp"

using namespace regauge;
using Catch::Matchers::ContainsSubstring;
using regauge::test::MemoryFiles;
using regauge::test::Ran;
using regauge::test::run;
using regauge::testing::Numbers;

namespace {

constexpr std::size_t rows = 256;

void put(MemoryFiles& files, const std::string& path, std::size_t d, const std::vector<float>& values) {
    const auto out = files.create(path, false, true);
    const auto bytes = std::as_bytes(std::span(values));
    const std::vector<NewTensor> tensors{{"activations/resid.1", Dtype::F32, {values.size() / d, d}, bytes}};
    writeSafetensors(tensors, {}, out->file(""));
    out->commit();
}

// Rows of d channels, and the same by a matrix that is no gauge.
void putPair(MemoryFiles& files, const std::string& x, const std::string& y, std::size_t d, std::size_t wide) {
    Numbers numbers(7);
    std::vector<float> a(rows * d), m(wide * d), b(rows * wide, 0.0f);
    for (float& value : a) value = numbers.normal();
    for (float& value : m) value = numbers.normal();
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t i = 0; i < wide; ++i)
            for (std::size_t j = 0; j < d; ++j) b[r * wide + i] += m[i * d + j] * a[r * d + j];
    put(files, x, d, a), put(files, y, wide, b);
}

}  // namespace

TEST_CASE("where align finds no gauge it names the map command for these files, and that command works",
          "[map][command]") {
    MemoryFiles files;
    putPair(files, "my source", "target", 12, 12);
    const Ran aligned = run(files, {"align", "my source", "target"});
    CHECK(aligned.status == 1);
    CHECK_THAT(aligned.err, ContainsSubstring("regauge map 'my source' target -o map.safetensors"));
    const Ran mapped = run(files, {"map", "my source", "target", "-o", "map.safetensors"});
    CHECK(mapped.status == 0);
    CHECK(files.exists("map.safetensors"));
    CHECK_THAT(mapped.out, ContainsSubstring("An affine map explains"));
}

TEST_CASE("a map file without its fingerprint is moved by, and not called judged", "[map][command]") {
    MemoryFiles files;
    using Said = std::vector<std::pair<std::string, std::string>>;
    const std::vector<float> identity{1, 0, 0, 1}, none{0, 0};
    const auto matrix = std::as_bytes(std::span(identity)), bias = std::as_bytes(std::span(none));
    const std::vector<NewTensor> tensors{{"forward", Dtype::F32, {2, 2}, matrix},
                                         {"forward_bias", Dtype::F32, {2}, bias},
                                         {"backward", Dtype::F32, {2, 2}, matrix},
                                         {"backward_bias", Dtype::F32, {2}, bias}};
    for (const Said& said : {Said{}, Said{{"family", "gauge"}, {"helps", "true"}, {"r2", "0.99"}}}) {
        const auto out = files.create("hand", false, true);
        writeSafetensors(tensors, said, out->file(""));
        out->commit();
        const Ran shown = run(files, {"show", "hand"});
        CHECK_THAT(shown.out, ContainsSubstring("not judged") && !ContainsSubstring("explains 99"));
        files.put("v.json", R"({"1":[1.5,2]})");
        const Ran moved = run(files, {"transport", "v.json", "--map", "hand", "-o", "m.json", "--force"});
        CHECK(moved.status == 0);
        CHECK_THAT(moved.err, ContainsSubstring("warning: the map is not judged"));
    }
}

TEST_CASE("align names no map command where a map could not be fitted, or a gauge is found", "[map][command]") {
    MemoryFiles files;
    putPair(files, "x", "y", 12, 12);
    CHECK_THAT(run(files, {"align", "x", "x"}).err, !ContainsSubstring("regauge map"));
    Numbers numbers(1);
    std::vector<float> few(48 * 12);
    for (float& value : few) value = numbers.normal();
    put(files, "few", 12, few);
    for (float& value : few) value = numbers.normal();
    put(files, "others", 12, few);
    CHECK_THAT(run(files, {"align", "few", "others"}).err, !ContainsSubstring("regauge map"));
}

TEST_CASE("models of two widths are refused by align with the map command, which takes them", "[map][command]") {
    MemoryFiles files;
    putPair(files, "x", "y", 12, 20);
    const Ran aligned = run(files, {"align", "x", "y"});
    CHECK(aligned.status > 1);
    CHECK_THAT(aligned.err, ContainsSubstring("regauge map SOURCE TARGET -o map.safetensors"));
    CHECK(run(files, {"map", "x", "y", "-o", "m.safetensors"}).status == 0);
}

TEST_CASE("a family that needs one width is refused for models of two, before any rows are read", "[map][command]") {
    MemoryFiles files;
    putPair(files, "x", "y", 12, 20);
    for (const char* family : {"identity", "gauge"}) {
        const Ran refused = run(files, {"map", "x", "y", "--family", family, "-o", "m.safetensors"});
        CHECK(refused.status == 2);
        CHECK_THAT(refused.err, ContainsSubstring("d = 20, and x has d = 12; " + std::string(family) +
                                                  " maps need one width: take --family orthogonal, affine or auto"));
    }
}

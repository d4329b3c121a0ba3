#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tensor_files.hpp"

using namespace regauge;
using namespace regauge::test;

namespace {

// Reverses the order of the elements and flips the sign of every second one, as a gauge might; its own inverse for an
// odd count.
const MoveTensor reverseAndFlip = [](std::size_t, const ByteSource& in, ByteSink& out) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(in.size()));
    in.read(0, bytes);
    std::vector<std::byte> moved;
    for (std::size_t i = 0; i < bytes.size() / 8; ++i) {
        const auto from = bytes.end() - static_cast<std::ptrdiff_t>(8 * (i + 1));
        moved.insert(moved.end(), from, from + 8);
        if (i % 2 == 1) moved.back() ^= std::byte{0x80};
    }
    out.write(moved);
};

}  // namespace

TEST_CASE("json: arrays of numbers are read as float64 in their shape") {
    const TensorFile file = openText(" [[1, -2.5e-1],\n [0, 1e3], [-0, 12345678901234567890]] ");
    CHECK(file.format == FileFormat::jsonVector);
    CHECK(file.tensors[0].info.shape == Shape{3, 2});
    CHECK(valuesOf(file, "vector") == std::vector<double>{1, -0.25, 0, 1000, -0.0, 12345678901234567890.0});
}

TEST_CASE("json: moved numbers keep their own digits, and moving back gives the file byte for byte") {
    const std::string text = "[0.10, -1.5,\t2e-3 ,0,  7]\n";
    const std::string there = rewrite(openText(text), reverseAndFlip);
    CHECK(there == "[7, -0,\t2e-3 ,1.5,  0.10]\n");
    CHECK(rewrite(openText(there), reverseAndFlip) == text);
}

TEST_CASE("json: what is no rectangular array of numbers is refused") {
    for (const char* bad :
         {"[", "[]", "[1,]", "[1 2]", "[1]x", "[[1],[2,3]]", "[1,[2]]", "[[1],2]", "[\"a\"]", "[null]", "[01]",
          "[1e999]", "[--1]", "[+1]", "[1", "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]"}) {
        INFO(bad);
        CHECK(openRefusal(bad).code == ErrorCode::malformed);
    }
}

TEST_CASE("json: numbers outlive the file that they were read from, as rows of evidence do") {
    constexpr std::size_t count = 16;
    const std::string text = "[0.5,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]";
    const std::unique_ptr<ByteSource> source = [&] { return tensorBytes(openText(text), 0); }();
    const std::vector<std::vector<std::byte>> others(64, std::vector<std::byte>(8 * count, std::byte{0xAA}));
    std::vector<double> values(count);
    source->read(0, std::as_writable_bytes(std::span(values)));
    CHECK(values == std::vector<double>{0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
}

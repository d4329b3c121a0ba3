#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tensor_files.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string lengthPrefix(std::uint64_t length) {
    std::string bytes(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i));
    return bytes;
}

std::string file(const std::string& header, std::size_t dataBytes) {
    std::string data(dataBytes, '\0');
    for (std::size_t i = 0; i < dataBytes; ++i) data[i] = static_cast<char>(i + 1);
    return lengthPrefix(header.size()) + header + data;
}

const std::string plain =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}})";

}  // namespace

TEST_CASE("safetensors: tensors come in header order with their dtypes, shapes and offsets") {
    const TensorFile opened = openText(file(plain, 12));
    REQUIRE(opened.tensors.size() == 2);
    CHECK(opened.format == FileFormat::safetensors);
    CHECK(opened.tensors[0].info.name == "b");
    CHECK(opened.tensors[0].info.dtype == Dtype::F32);
    CHECK(opened.tensors[0].info.offset == 8 + plain.size() + 4);
    CHECK(opened.tensors[1].info.shape == Shape{1, 2});
    CHECK(storedBytes(opened, 1) == "\1\2\3\4");
    CHECK(opened.metadata == Provenance{{"format", "pt"}});
}

TEST_CASE("safetensors: every dtype of the table is read under its own name") {
#define CHECK_DTYPE(name, bytes, isFloat)                                                                              \
    CHECK(openText(file(R"({"t":{"dtype":")" #name R"(","shape":[3],"data_offsets":[0,)" + std::to_string(3 * bytes) + \
                            "]}}",                                                                                     \
                        3 * bytes))                                                                                    \
              .tensors[0]                                                                                              \
              .info.dtype == Dtype::name);
    REGAUGE_DTYPES(CHECK_DTYPE)
#undef CHECK_DTYPE
}

TEST_CASE("safetensors: rewriting without provenance changes nothing but the tensors' bytes") {
    for (
        const std::string& header :
        {plain, plain + "     ",
         std::string(
             R"({ "a" : {"shape":[ ] ,"dtype":"F32", "data_offsets":[0, 4]}, "\u0062":{"dtype":"U8","shape":[0,9],"data_offsets":[4,4]} })"),
         std::string("{}")}) {
        const std::string text = file(header, header == "{}" ? 0 : header[1] == ' ' ? 4 : 12);
        CHECK(rewrite(openText(text)) == text);
        if (header != "{}") checkComplementRoundTrip(text);
    }
}

TEST_CASE(
    "safetensors: provenance is added to the metadata, replaces its own earlier entries and keeps every other byte") {
    const TensorFile opened = openText(file(plain, 12));
    const std::string once = rewrite(opened, copyTensor, {{"regauge.gauge", "abc\"\n"}});
    const TensorFile reread = openText(once);
    CHECK(reread.metadata == Provenance{{"format", "pt"}, {"regauge.gauge", "abc\"\n"}});
    CHECK(once.find(R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"a")") != std::string::npos);
    CHECK((once.size() - 12) % 8 == 0);  // the data stays aligned
    CHECK(storedBytes(reread, 0) == storedBytes(opened, 0));

    const std::string twice = rewrite(reread, copyTensor, {{"regauge.gauge", "new"}});
    CHECK(openText(twice).metadata == Provenance{{"format", "pt"}, {"regauge.gauge", "new"}});

    const std::string bare = R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
    CHECK(openText(rewrite(openText(file(bare, 1)), copyTensor, {{"k", "v"}})).metadata == Provenance{{"k", "v"}});
    CHECK(openText(rewrite(openText(file("{}", 0)), copyTensor, {{"k", "v"}})).metadata == Provenance{{"k", "v"}});
    const std::string escaped =
        R"({"\u005f_metadata__":{"a":"}\"{","k":"old"},"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
    CHECK(openText(rewrite(openText(file(escaped, 1)), copyTensor, {{"k", "v"}})).metadata ==
          Provenance{{"a", "}\"{"}, {"k", "v"}});
}

TEST_CASE("safetensors: bad files are refused with one clear line") {
    const auto tensor = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
        return "{\"t\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
    };
    struct Case {
        std::string text;
        ErrorCode code;
        std::string says;
    };
    const Case cases[] = {
        {"", ErrorCode::truncated, "only 0 bytes"},
        {lengthPrefix(50) + "{", ErrorCode::truncated, "only 9"},
        {lengthPrefix(500) + plain, ErrorCode::truncated, "header says that it is 500 bytes"},
        {lengthPrefix(~std::uint64_t{0}) + plain, ErrorCode::truncated, "18446744073709551615"},
        {lengthPrefix(4) + "[1,2", ErrorCode::malformed, "starts with '{'"},
        {file("{\"a\":", 0), ErrorCode::malformed, "not valid JSON"},
        {file(plain + "x", 12), ErrorCode::malformed, "not valid JSON"},
        {file(plain, 11), ErrorCode::truncated, "b: its bytes end at"},
        {file(plain, 13), ErrorCode::malformed, "1 bytes after the last tensor"},
        {file(tensor("F32", "[2]", "[0,4]"), 4), ErrorCode::malformed, "needs 8 bytes"},
        {file(tensor("F32", "[1]", "[4,8]"), 8), ErrorCode::malformed, "belong to no tensor"},
        {file(tensor("F32", "[1]", "[4,0]"), 8), ErrorCode::malformed, "begin <= end"},
        {file(tensor("F32", "[1]", "[0]"), 4), ErrorCode::malformed, "begin <= end"},
        {file(tensor("F32", "[1]", "[0,4,8]"), 4), ErrorCode::malformed, "too long"},
        {file(tensor("F4", "[2]", "[0,1]"), 1), ErrorCode::unsupported, "t: elements of type F4"},
        {file(tensor("F32", "[-1]", "[0,4]"), 4), ErrorCode::malformed, "its shape holds the number -1"},
        {file(tensor("F32", "[1.5]", "[0,4]"), 4), ErrorCode::malformed, "its shape holds"},
        {file(tensor("F32", "[4294967296,4294967296]", "[0,0]"), 0), ErrorCode::malformed, "impossibly large"},
        {file(tensor("F64", "[4611686018427387904]", "[0,0]"), 0), ErrorCode::malformed, "impossibly large"},
        {file(tensor("F32", "\"x\"", "[0,4]"), 4), ErrorCode::malformed, "its shape holds the text"},
        {file(R"({"t":{"dtype":"F32","shape":[1]}})", 4), ErrorCode::malformed, "lacks"},
        {file(R"({"t":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4), ErrorCode::malformed,
         "twice"},
        {file(
             R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
             2),
         ErrorCode::malformed, "names \"t\" twice"},
        {file(
             R"({"t":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"u":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
             3),
         ErrorCode::malformed, "u: its bytes overlap those of t"},
        {file(
             R"({"t":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"u":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
             2),
         ErrorCode::malformed, "overlap"},
        {file(R"({"__metadata__":{"a":1}})", 0), ErrorCode::malformed, "may hold only text"},
        {file(R"({"__metadata__":{"a":"1","a":"2"}})", 0), ErrorCode::malformed, "twice"},
        {file(R"({"t":5})", 0), ErrorCode::malformed, "the number 5"},
    };
    for (const Case& bad : cases) {
        const Refusal refusal = openRefusal(bad.text, "bad.safetensors");
        INFO(refusal);
        CHECK(refusal.code == bad.code);
        CHECK_THAT(refusal.message, ContainsSubstring("bad.safetensors: ") && ContainsSubstring(bad.says));
    }
}

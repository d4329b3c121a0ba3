#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <numeric>

#include "regauge/vocabulary.hpp"
#include "tensor_files.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string number(std::uint64_t value, std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
    return bytes;
}
std::string text(const std::string& value) { return number(value.size(), 8) + value; }
std::string info(const std::string& name, const std::vector<std::uint64_t>& axes, std::uint32_t type,
                 std::uint64_t offset) {
    std::string bytes = text(name) + number(axes.size(), 4);
    for (const std::uint64_t n : axes) bytes += number(n, 8);
    return bytes + number(type, 4) + number(offset, 8);
}
std::string gguf(const std::vector<std::string>& keyValues, const std::vector<std::string>& infos,
                 std::size_t dataBytes, std::uint32_t version = 3, std::size_t alignment = 32) {
    std::string bytes = "GGUF" + number(version, 4) + number(infos.size(), 8) + number(keyValues.size(), 8);
    for (const std::string& part : keyValues) bytes += part;
    for (const std::string& part : infos) bytes += part;
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    for (std::size_t i = 0; i < dataBytes; ++i) bytes += static_cast<char>(i + 1);
    return bytes;
}
const std::string architecture = text("general.architecture") + number(8, 4) + text("llama");

}  // namespace

TEST_CASE("gguf: a control vector's names, shapes, values and key-values are read") {
    const TensorFile file = openText(fixture("control_vector.gguf"));
    CHECK(file.format == FileFormat::gguf);
    for (const char* name : {"direction.1", "direction.2", "direction.3"}) {
        CHECK(file.find(name)->info.shape == Shape{16});
        CHECK(valuesOf(file, name) == flatten(expectedJson()["control_vector.gguf"]["values"][name]));
    }
    CHECK(file.metadata == Provenance{{"general.architecture", "controlvector"},
                                      {"controlvector.model_hint", "llama"},
                                      {"controlvector.layer_count", "3"}});
}

TEST_CASE("gguf: the first axis of ggml is the last of regauge's, and value types are told as text") {
    const std::string strings = text("list") + number(9, 4) + number(8, 4) + number(2, 8) + text("a") + text("b");
    const std::string numbers = text("ids") + number(9, 4) + number(5, 4) + number(20, 8) + std::string(80, '\xff');
    const std::string real = text("eps") + number(6, 4) + number(0x3f000000, 4);
    const std::string flag = text("flag") + number(7, 4) + number(1, 1);
    for (const std::uint32_t version : {2U, 3U}) {
        const TensorFile file = openText(gguf({architecture, strings, numbers, real, flag},
                                              {info("t", {3, 2}, 1, 0), info("u", {1}, 30, 32)}, 34, version));
        CHECK(file.tensors[0].info.shape == Shape{2, 3});
        CHECK(file.tensors[0].info.dtype == Dtype::F16);
        CHECK(file.tensors[1].info.dtype == Dtype::BF16);
        CHECK(storedBytes(file, 1) == "\x21\x22");
        CHECK(file.metadata[1].second == "[a, b]");
        CHECK(file.metadata[2].second.ends_with("-1, ... 20 in all]"));
        CHECK(file.metadata[3].second == "0.5");
        CHECK(file.metadata[4].second == "true");
    }
}

TEST_CASE("gguf: tokens become text by the vocabulary in the file, as its kind writes bytes and spaces") {
    const auto file = [](const std::string& kind, const std::vector<std::string>& tokens) {
        std::string list = text("tokenizer.ggml.tokens") + number(9, 4) + number(8, 4) + number(tokens.size(), 8);
        for (const std::string& token : tokens) list += text(token);
        return gguf({architecture, text("tokenizer.ggml.model") + number(8, 4) + text(kind), list},
                    {info("t", {4}, 0, 0)}, 16);
    };
    struct Kind {
        const char* name;
        std::vector<std::string> tokens;
        const char* text;
    };
    for (const Kind& kind :
         {Kind{"gpt2", {"caf", "\u00C3\u00A9", "\u0120on", "\u010A", "<|end|>"}, "caf\u00E9 on\n<|end|>"},
          Kind{"llama", {"\u2581caf", "\u00E9", "<0xF0>", "<0x9F>", "<0x99>", "<0x82>"}, " caf\u00E9\U0001F642"},
          Kind{"bert", {"\u2581walk", "ing", "\u2581on", "[SEP]"}, " walking on[SEP]"}}) {
        INFO(kind.name);
        MemoryFiles files;
        files.put("m/m.gguf", file(kind.name, kind.tokens));
        std::string unread;
        const auto vocabulary = Vocabulary::beside(files, "m/m.gguf", unread);
        REQUIRE(vocabulary);
        CHECK(Vocabulary::beside(files, "m", unread));
        std::vector<std::int64_t> ids(kind.tokens.size());
        std::iota(ids.begin(), ids.end(), 0);
        CHECK(vocabulary->text(ids) == kind.text);
    }
    MemoryFiles files;
    files.put("m.gguf", file("rwkv", {"a"}));
    std::string unread;
    CHECK(!Vocabulary::beside(files, "m.gguf", unread));
    CHECK(unread.empty());
    files.put("m.gguf", file("llama", std::vector<std::string>((1 << 21) + 1)));
    CHECK(!Vocabulary::beside(files, "m.gguf", unread));
    CHECK_THAT(unread, ContainsSubstring("larger than any known"));
}

TEST_CASE("gguf: rewriting keeps key-values, names and padding as they are") {
    const std::string vectors = fixture("control_vector.gguf");
    CHECK(rewrite(openText(vectors)) == vectors);
    checkComplementRoundTrip(vectors);
    // Tensors out of order, padding between and behind them.
    const std::string text = gguf({architecture}, {info("second", {2}, 0, 64), info("first", {3}, 0, 0)}, 64 + 8 + 24);
    CHECK(rewrite(openText(text)) == text);
    checkComplementRoundTrip(text);
    const std::string empty = gguf({architecture}, {}, 0);
    CHECK(rewrite(openText(empty)) == empty);
}

TEST_CASE("gguf: provenance becomes key-values, and replaces its own earlier ones") {
    const std::string alignment = text("general.alignment") + number(4, 4) + number(64, 4);
    const TensorFile file = openText(gguf({architecture, alignment}, {info("t", {4}, 0, 0)}, 16, 3, 64));
    const std::string once = rewrite(file, copyTensor, {{"regauge.fingerprint", "f1"}});
    const TensorFile reread = openText(once);
    CHECK(reread.metadata ==
          Provenance{{"general.architecture", "llama"}, {"general.alignment", "64"}, {"regauge.fingerprint", "f1"}});
    CHECK(storedBytes(reread, 0) == storedBytes(file, 0));
    CHECK(reread.tensors[0].info.offset % 64 == 0);
    const TensorFile again = openText(rewrite(reread, copyTensor, {{"regauge.fingerprint", "f2"}}));
    CHECK(again.metadata.back() == std::pair<std::string, std::string>{"regauge.fingerprint", "f2"});
    CHECK(again.metadata.size() == 3);
}

TEST_CASE("gguf: block-quantized tensors are listed, and copied as they are") {
    const TensorFile file = openText(gguf({}, {info("q", {256, 2}, 12, 0), info("r", {64}, 8, 288)}, 288 + 68));
    CHECK(file.tensors[0].quantized == "Q4_K");
    CHECK(file.tensors[0].info.bytes == 288);
    CHECK(file.tensors[1].quantized == "Q8_0");
    CHECK(rewrite(file) == gguf({}, {info("q", {256, 2}, 12, 0), info("r", {64}, 8, 288)}, 288 + 68));
}

TEST_CASE("gguf: bad files are refused with one clear line") {
    struct Case {
        std::string text;
        ErrorCode code;
        std::string says;
    };
    const std::string good = gguf({architecture}, {info("t", {4}, 0, 0)}, 16);
    const Case cases[] = {
        {good.substr(0, 6), ErrorCode::truncated, "beyond the end"},
        {good.substr(0, 60), ErrorCode::truncated, "beyond the end"},
        {good.substr(0, good.size() - 1), ErrorCode::truncated, "t: its bytes reach beyond"},
        {gguf({}, {}, 0, 1), ErrorCode::unsupported, "version 1"},
        {gguf({}, {}, 0, 0x03000000), ErrorCode::unsupported, "big-endian"},
        {"GGUF" + number(3, 4) + number(~std::uint64_t{0}, 8) + number(0, 8), ErrorCode::malformed,
         "18446744073709551615 tensors"},
        {gguf({architecture, architecture}, {}, 0), ErrorCode::malformed, "twice"},
        {gguf({text("k") + number(13, 4)}, {}, 0), ErrorCode::unsupported, "type 13"},
        {gguf({text("k") + number(9, 4) + number(9, 4) + number(1, 8)}, {}, 0), ErrorCode::unsupported,
         "array of arrays"},
        {gguf({text("k") + number(9, 4) + number(0, 4) + number(~std::uint64_t{0}, 8) + std::string(64, 'x')}, {}, 0),
         ErrorCode::truncated, "beyond the end"},
        {gguf({text("general.alignment") + number(4, 4) + number(24, 4)}, {}, 0), ErrorCode::malformed, "power of two"},
        {gguf({text("general.alignment") + number(4, 4) + number(0, 4)}, {}, 0), ErrorCode::malformed, "power of two"},
        {gguf({}, {info("t", {4}, 99, 0)}, 16), ErrorCode::unsupported, "t: elements of ggml type 99"},
        {gguf({}, {info("t", {1ULL << 40, 1ULL << 40}, 0, 0)}, 16), ErrorCode::malformed, "impossibly large"},
        {gguf({}, {info("t", {33}, 8, 0)}, 64), ErrorCode::malformed, "blocks of 32"},
        {gguf({}, {info("t", {4}, 0, 8)}, 64), ErrorCode::malformed, "multiple of the alignment"},
        {gguf({}, {info("t", {16}, 0, 0), info("u", {4}, 0, 32)}, 64), ErrorCode::malformed,
         "u: its bytes overlap those of t"},
        {gguf({}, {info("t", {4}, 0, 0), info("t", {4}, 0, 32)}, 64), ErrorCode::malformed, "twice"},
        {gguf({}, {info("t", {4}, 0, ~std::uint64_t{31})}, 64), ErrorCode::truncated, "beyond the end"},
    };
    for (const Case& bad : cases) {
        const Refusal refusal = openRefusal(bad.text, "bad.gguf");
        INFO(refusal);
        CHECK(refusal.code == bad.code);
        CHECK_THAT(refusal.message, ContainsSubstring("bad.gguf: ") && ContainsSubstring(bad.says));
    }
}

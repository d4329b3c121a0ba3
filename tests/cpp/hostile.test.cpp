// Files made to crash, to stall or to deceive: each is answered with one sentence, soon, in little memory.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "command_run.hpp"
#include "io/json_text.hpp"
#include "memory_files.hpp"
#include "refusal.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/model.hpp"
#include "written_files.hpp"

using namespace regauge;
using Catch::Matchers::ContainsSubstring;
using test::codeOf;
using test::MemoryFiles;
using test::outcomeOf;
using test::Ran;
using test::Refusal;
using test::requireRefusal;
using test::run;

namespace {

std::string fixture(const std::string& name) {
    std::ifstream file(std::string(REGAUGE_TEST_DATA) + "/fixtures/hostile/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string repeated(std::string_view text, std::size_t times) {
    std::string result;
    for (std::size_t k = 0; k < times; ++k) result += text;
    return result;
}

// A refusal: status 2, one line, and no defect.
void requireRefused(const Ran& ran, const std::string& because) {
    INFO(ran.err.substr(0, 1000));
    CHECK(ran.status == 2);
    CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
    CHECK_THAT(ran.err, ContainsSubstring(because) && !ContainsSubstring("a defect of regauge"));
}

// What a terminal would obey.
bool moves(const std::string& text) {
    const auto obeyed = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F; };
    return std::any_of(text.begin(), text.end(), obeyed) || text.find("\xC2\x9B") != std::string::npos ||
           text.find("\xE2\x80\xAE") != std::string::npos;
}

std::string gaugeText(std::size_t d, const std::string& more = "") {
    std::string perm, sign;
    for (std::size_t i = 0; i < d; ++i)
        perm += (i ? "," : "") + std::to_string(d - 1 - i), sign += i % 2 ? ",-1" : i ? ",1" : "1";
    return R"({"format":"regauge-gauge","version":1,"d":)" + std::to_string(d) + R"(,"group":"signed","perm":[)" +
           perm + R"(],"sign":[)" + sign + "]" + more + "}";
}

std::string safetensors(const std::string& header, std::size_t dataBytes) {
    std::string text(8, '\0');
    for (std::size_t k = 0; k < 8; ++k) text[k] = static_cast<char>(std::uint64_t{header.size()} >> (8 * k) & 0xFF);
    return text + header + std::string(dataBytes, '\0');
}

// Seconds that quadratic work on the files below would exceed by far, on a busy machine too.
constexpr double soon = 20;
class Timed {
public:
    ~Timed() {
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin_;
        CHECK(spent.count() < soon);
    }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

TEST_CASE("tokens stored in quantised blocks are refused, not read past their end", "[hostile]") {
    MemoryFiles files;
    files.put("tokens.gguf", fixture("tokens-oob.gguf"));
    const Refusal refusal = requireRefusal([&] { readTokens(files, "tokens.gguf"); });
    CHECK(refusal.code == ErrorCode::wrongDtype);
    CHECK_THAT(refusal.message, ContainsSubstring("whole numbers"));
}

TEST_CASE("JSON that nests without end is refused wherever JSON is read", "[hostile]") {
    const std::string deep = repeated("[", 200'000) + repeated("]", 200'000);
    MemoryFiles files;
    files.put("gauge", gaugeText(4, ",\"x\":" + deep));
    files.put("group", R"({"format":"regauge-gauge","version":1,"d":1,"group":)" + deep + "}");
    files.put("tokens", deep);
    files.put("object", R"({"a":)" + deep + "}");
    const std::string tensor = safetensors(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 16);
    files.put("model/model.safetensors", tensor);
    files.put("model/config.json", R"({"model_type":"llama","x":)" + deep + "}");
    files.put("sae/cfg.json", R"({"x":)" + deep + "}");
    files.put("sae/sae_weights.safetensors", tensor);
    files.put("index/model.safetensors.index.json", R"({"weight_map":)" + deep + "}");
    files.put("header", safetensors(R"({"w":)" + deep + "}", 0));
    const std::vector<std::vector<std::string>> commands{{"show", "gauge"},
                                                         {"show", "group"},
                                                         {"inspect", "tokens"},
                                                         {"inspect", "object"},
                                                         {"inspect", "model"},
                                                         {"inspect", "sae"},
                                                         {"inspect", "index"},
                                                         {"inspect", "header"},
                                                         {"align", "model", "model"},
                                                         {"verify", "model", "model", "--tokens", "tokens"},
                                                         {"audit", "object", "--d", "4"}};
    for (const auto& command : commands) {
        INFO(command[0] << " " << command[1]);
        const Ran ran = run(files, command);
        CHECK(ran.status == 2);
        CHECK_THAT(ran.err, !ContainsSubstring("a defect of regauge"));
        CHECK(ran.err.size() < 1000);
    }
    requireRefused(run(files, {"show", "gauge"}), "deeper than 64 levels");
    requireRefused(run(files, {"inspect", "model"}), "deeper than 64 levels");
}

TEST_CASE("names from files reach the terminal as text, on one line", "[hostile]") {
    MemoryFiles files;
    files.put("name.safetensors", fixture("escape-name.safetensors"));
    files.put("gauge.json", fixture("escape-gauge.json"));
    const std::string forged = "x\\nregauge: wrote moved.npy\\r\\u001b[2Jaligned: 100.0 %\\u202e";
    files.put("forged.safetensors",
              safetensors(R"({")" + forged + R"(":{"dtype":"F32","shape":[64],"data_offsets":[0,256]}})", 256));
    files.put("forged.json", gaugeText(4, R"(,"source":{"name":")" + forged + R"("})"));
    files.put("bad\x1b[2J\nname.json", "{");
    for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
             {"inspect", "name.safetensors"},
             {"show", "gauge.json"},
             {"inspect", "forged.safetensors"},
             {"inspect", "forged.safetensors", "--json"},
             {"show", "forged.json"},
             {"show", "forged.json", "--json"},
             {"show", "bad\x1b[2J\nname.json"},
             {"no\x1b[2Jcommand"},
             {"transport", "forged.safetensors", "--gauge", "forged.json", "-o", "out"}}) {
        INFO(command[0] << " " << command.back());
        const Ran ran = run(files, command);
        CHECK_FALSE(moves(ran.out));
        CHECK_FALSE(moves(ran.err));
        CHECK(ran.out.find("\nregauge:") == std::string::npos);
        if (ran.status == 2) CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
    }
    CHECK_THAT(run(files, {"inspect", "forged.safetensors"}).out, ContainsSubstring("\\u000aregauge"));
    const auto json = nlohmann::json::parse(run(files, {"show", "forged.json", "--json"}).out);
    CHECK_THAT(json["source"].get<std::string>(), ContainsSubstring("\n") && ContainsSubstring("\x1b"));
}

TEST_CASE("a NUL in a name from a file ends no message and names no other file", "[hostile]") {
    MemoryFiles files;
    files.put("config.json", R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":4})");
    files.put("model.safetensors", safetensors(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 16));
    files.put("up/model.safetensors.index.json", R"({"weight_map":{"a\u0000b":"../model.safetensors"}})");
    files.put("cut/model.safetensors.index.json", R"({"weight_map":{"a":"model.safetensors\u0000b"}})");
    for (const std::string folder : {"up", "cut"})
        requireRefused(run(files, {"inspect", folder}), "expected the name of a file beside the index");
    files.put("gauge", gaugeText(4, R"(,"verdict":"x\u0000y")"));
    requireRefused(run(files, {"show", "gauge"}), "it must be aligned, partial or unrelated");
}

TEST_CASE("a message quotes a file's values in whole letters, and not at any length", "[hostile]") {
    MemoryFiles files;
    const std::string longWord = repeated("\u00e9", 100'000);
    for (const std::string shift : {"", "x"}) {
        files.put("verdict", gaugeText(1, R"(,"verdict":")" + shift + longWord + '"'));
        files.put("perm", R"({"format":"regauge-gauge","version":1,"d":1,"group":"signed","perm":[")" + shift +
                              longWord + R"("],"sign":[1]})");
        for (const std::string file : {"verdict", "perm"}) {
            const Ran ran = run(files, {"show", file});
            requireRefused(ran, "it must be");
            CHECK(ran.err.size() < 200);
            CHECK_THAT(ran.err, !ContainsSubstring("\\x"));  // as half a letter is shown
        }
    }
}

TEST_CASE("names that are not UTF-8 are printed as JSON, with U+FFFD in their place", "[hostile]") {
    MemoryFiles files;
    files.put("names.npz", fixture("nonutf8-name.npz"));
    const Ran inspected = run(files, {"inspect", "names.npz", "--json"});
    INFO(inspected.err);
    CHECK(inspected.status == 0);
    CHECK(nlohmann::json::accept(inspected.out));
    const std::size_t d = nlohmann::json::parse(inspected.out)["d"].get<std::size_t>();
    files.put("gauge", gaugeText(d));
    const Ran moved = run(files, {"transport", "names.npz", "--gauge", "gauge", "-o", "out", "--json"});
    INFO(moved.err);
    CHECK(moved.status == 0);
    CHECK(nlohmann::json::accept(moved.out));
    files.put("\xff-gauge", gaugeText(4));
    CHECK(run(files, {"invert", "\xff-gauge", "-o", "back", "--json"}).status == 0);
    const std::string rows = test::npy(test::randomArray("", {64, 4}, 1));
    files.put("x\xff.npy", rows);
    files.put("y.npy", rows);
    const Ran mapped = run(files, {"map", "x\xff.npy", "y.npy", "-o", "map", "--json"});
    INFO(mapped.err);
    CHECK(mapped.status == 0);
    CHECK(nlohmann::json::accept(mapped.out));
}

TEST_CASE("a configuration of the wrong types and sizes is refused in words", "[hostile]") {
    MemoryFiles files;
    files.put("m/model.safetensors", safetensors(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 16));
    files.put("tokens", "[1,2]");
    const std::string common =
        R"("model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":8,"vocab_size":16)";
    for (const std::string more :
         {R"("tie_word_embeddings":1)", R"("tie_word_embeddings":"no")", R"("head_dim":2000000000)",
          R"("partial_rotary_factor":1e300)", R"("partial_rotary_factor":-1)", R"("num_hidden_layers":10001)",
          R"("head_dim":0)", R"("intermediate_size":0)", R"("vocab_size":0)"}) {
        INFO(more);
        files.put("m/config.json", "{" + common + "," + more + "}");
        requireRefused(run(files, {"verify", "m", "m", "--tokens", "tokens"}), "config.json");
    }
}

TEST_CASE("token lists without tokens are refused in words", "[hostile]") {
    MemoryFiles files;
    for (const std::string text : {"[]", "[[]]", "[[],[1]]", "[[1],[]]", "[[1],2]", "[[1],{\"a\":1}]", "[1.5]",
                                   "[18446744073709551615]", "[", "[null]", "[[[1]]]"}) {
        INFO(text);
        files.put("tokens", text);
        CHECK(codeOf([&] { readTokens(files, "tokens"); }) == ErrorCode::malformed);
    }
    files.put("empty.safetensors",
              safetensors(R"({"token_ids":{"dtype":"I64","shape":[3,0],"data_offsets":[0,0]}})", 0));
    CHECK(codeOf([&] { readTokens(files, "empty.safetensors"); }) == ErrorCode::malformed);
}

TEST_CASE("token files of other numbers, or of too many, are refused before they are read", "[hostile]") {
    MemoryFiles files;
    const auto outcome = [&](const std::string& file) { return outcomeOf([&] { readTokens(files, file); }); };
    // Reading the member would find that its checksum is wrong (an inflated one may be a thousand times the file).
    std::string damaged = test::npz({{"token_ids", {3}, {1, 2, 3}}});
    damaged[damaged.find("PK\1\2") - 1] ^= 1;
    files.put("floats.npz", damaged);
    CHECK_THAT(outcome("floats.npz"), ContainsSubstring("wrongDtype") && ContainsSubstring("F32"));
    constexpr std::size_t most = std::size_t{1} << 24;
    files.put("many.safetensors", safetensors(R"({"token_ids":{"dtype":"U8","shape":[)" + std::to_string(most + 1) +
                                                  R"(],"data_offsets":[0,)" + std::to_string(most + 1) + "]}}",
                                              most + 1));
    CHECK_THAT(outcome("many.safetensors"), ContainsSubstring("tooLarge") && ContainsSubstring("16777216 at most"));
}

TEST_CASE("numbers of the command line that no machine can do are refused in words", "[hostile]") {
    MemoryFiles files;
    files.put("list.json", R"({"neurons":[1,2,3]})");
    requireRefused(run(files, {"audit", "list.json", "--d", "18446744073709551615"}), "--d");
    requireRefused(run(files, {"audit", "list.json", "--d", "4611686018427387904"}), "--d");
    requireRefused(run(files, {"audit", "list.json", "--d", "8", "--gauges", "18446744073709551615"}), "--gauges");
    for (const std::string none : {"0", "-1", "nan"})
        requireRefused(run(files, {"audit", "list.json", "--d", none}), "--d: is " + none + ", and should be more");
    requireRefused(run(files, {"ceiling", "--noise", "nan"}), "--noise: is nan");
}

TEST_CASE("an empty word, as of a variable that is not set, is no file and no output", "[hostile]") {
    MemoryFiles files;
    files.put("v", safetensors(R"({"v":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 16));
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"inspect", ""}, {"align", "v", "v", "-o", ""}, {"align", "v", ""}, {""}})
        requireRefused(run(files, words), "one of the words is empty");
}

TEST_CASE("small files do not unfold into much work or memory", "[hostile]") {
    MemoryFiles files;
    const std::string tensor = safetensors(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 16);
    SECTION("a configuration whose long keys lead to many values") {
        const Timed timed;
        files.put("m/model.safetensors", tensor);
        files.put("m/config.json",
                  R"({"model_type":"llama",")" + std::string(100'000, 'k') + R"(":[0)" + repeated(",0", 60'000) + "]}");
        requireRefused(run(files, {"inspect", "m"}), "configuration");
    }
    SECTION("vectors with long names, and many of them") {
        const Timed timed;
        files.put("long", R"({")" + repeated("1.", 40'000) + R"(":[1,2,3,4]})");
        requireRefused(run(files, {"inspect", "long"}), "whose name takes 80000 bytes");
        std::string many = "{";
        for (int k = 0; k < 8000; ++k) many += (k ? ",\"" : "\"") + std::to_string(k) + "\":[1]";
        files.put("many", many + "}");
        run(files, {"inspect", "many"});
    }
    SECTION("one long name among many does not widen every line") {
        const Timed timed;
        std::string more = R"({"x)" + std::string(4'000, 'y') + R"(":[1.5])";
        for (int k = 0; k < 4000; ++k) more += ",\"x" + std::to_string(k) + "\":[1.5]";
        files.put("many", more + "}");
        CHECK(run(files, {"inspect", "many"}).out.size() < 2'000'000);
    }
    SECTION("a gauge of many keys") {
        const Timed timed;
        std::string more;
        for (int k = 0; k < 100'000; ++k) more += ",\"" + std::to_string(k) + "\":0";
        files.put("gauge", gaugeText(4, more));
        CHECK(run(files, {"show", "gauge"}).status == 0);
    }
    SECTION("a table of many rows") {
        const Timed timed;
        files.put("list.csv", "neuron\n" + repeated("1\n", 1'000'000));
        CHECK(run(files, {"inspect", "list.csv"}).status == 0);
    }
    SECTION("lists of more than any model has") {
        const Timed timed;
        files.put("list.csv", "neuron\n" + repeated("1\n", (std::size_t{1} << 22) + 1));
        requireRefused(run(files, {"inspect", "list.csv"}), "split it");
        files.put("list.json", R"({"neuron":[1)" + repeated(",1", std::size_t{1} << 21) + "]}");
        requireRefused(run(files, {"inspect", "list.json", "--kind", "neurons"}), "more than 2097152 numbers");
        requireRefused(run(files, {"inspect", "list.json"}), "lists channels among more than");  // no vector, either
        files.put("vector.json", R"({"12":[0.5)" + repeated(",1", std::size_t{1} << 21) + "]}");
        CHECK(run(files, {"inspect", "vector.json"}).status == 0);
    }
    SECTION("lists under one long key") {
        const Timed timed;
        files.put("list.json",
                  R"({"channel":[1],")" + std::string(100'000, 'k') + R"(":[0)" + repeated(",0", 100'000) + "]}");
        run(files, {"inspect", "list.json"});
    }
    SECTION("more members than any memory is asked for") {
        const Timed timed;
        files.put("gauge", gaugeText(4, repeated(",\"\":0", 2'000'000)));
        requireRefused(run(files, {"show", "gauge"}), "million");
    }
}

TEST_CASE("beyond the limits of docs/threat-model.md files are refused in words", "[hostile]") {
    // A file that begins with `text` and goes on with zeros.
    const auto refusal = [](const std::string& text, std::uint64_t size, const auto& read) {
        class Long final : public ByteSource {
        public:
            Long(std::string text, std::uint64_t size) : text_(std::move(text)), size_(size) {}
            std::uint64_t size() const override { return size_; }
            void read(std::uint64_t offset, std::span<std::byte> into) const override {
                REQUIRE(into.size() < 1'000'000);  // it is known to be too much before it is read
                for (std::size_t k = 0; k < into.size(); ++k)
                    into[k] = static_cast<std::byte>(offset + k < text_.size() ? text_[offset + k] : 0);
            }
            const std::string& name() const override { return name_; }

        private:
            std::string text_, name_ = "long";
            std::uint64_t size_;
        };
        return outcomeOf([&] { read(std::make_shared<Long>(text, size)); });
    };
    const auto tensors = [](std::shared_ptr<const ByteSource> source) { openTensorFile(std::move(source)); };
    const auto little = [](std::uint64_t value, std::size_t bytes) {
        std::string text;
        for (std::size_t k = 0; k < bytes; ++k) text += static_cast<char>(value >> (8 * k) & 0xFF);
        return text;
    };
    constexpr std::uint64_t enough = std::uint64_t{4} << 30;
    CHECK_THAT(refusal("{", largestJsonFile + 1, [](const auto& source) { readJsonText(*source, "a configuration"); }),
               ContainsSubstring("has more than 64 MiB, and a configuration is never that large"));
    CHECK_THAT(refusal("{", largestJsonFile + 1, tensors), ContainsSubstring("JSON of more than 64 MiB"));
    CHECK_THAT(refusal(little(100'000'001, 8) + "{", enough, tensors), ContainsSubstring("limit of 100 MB"));
    std::string axes = "1";
    for (int k = 0; k < 64; ++k) axes += ",1";
    const std::string deep = safetensors(R"({"w":{"dtype":"U8","shape":[)" + axes + R"(],"data_offsets":[0,1]}})", 1);
    CHECK_THAT(refusal(deep, deep.size(), tensors), ContainsSubstring("w: its shape is too long"));
    constexpr std::uint64_t most = std::uint64_t{1} << 20;
    CHECK_THAT(refusal("GGUF" + little(3, 4) + little(most + 1, 8) + little(0, 8), enough, tensors),
               ContainsSubstring("1048577 tensors"));
    CHECK_THAT(refusal("GGUF" + little(3, 4) + little(0, 8) + little(most + 1, 8), enough, tensors),
               ContainsSubstring("1048577 key-values"));
    MemoryFiles files;
    constexpr std::size_t values = (std::size_t{8} << 20) + 1;
    files.put("v", safetensors(R"({"v":{"dtype":"F16","shape":[)" + std::to_string(values) + R"(],"data_offsets":[0,)" +
                                   std::to_string(2 * values) + "]}}",
                               2 * values));
    requireRefused(run(files, {"audit", "v"}), "holds more than 8388608 values");
}

TEST_CASE("a gauge that nothing vouches for does not read as aligned", "[hostile]") {
    MemoryFiles files;
    files.put("gauge", gaugeText(4));
    files.put("claims", gaugeText(4, R"(,"verdict":"aligned","summary":{"estimate":1,"agreement":1})"));
    for (const std::string gauge : {"gauge", "claims"}) {
        const Ran shown = run(files, {"show", gauge});
        CHECK(shown.status == 0);
        CHECK_THAT(shown.out, ContainsSubstring("not judged") && !ContainsSubstring("100.0 %"));
        const auto json = nlohmann::json::parse(run(files, {"show", gauge, "--json"}).out);
        CHECK(json["verdict"].is_null());
        CHECK(json["estimate"].is_null());
        CHECK_THAT(shown.out, !ContainsSubstring("nan"));
        // Nor does what is made of it.
        CHECK(run(files, {"invert", gauge, "-o", "back-" + gauge}).status == 0);
        CHECK_THAT(run(files, {"show", "back-" + gauge}).out, ContainsSubstring("not judged"));
    }
}

TEST_CASE("a gauge's numbers are what they can be, and later versions are refused in words", "[hostile]") {
    MemoryFiles files;
    for (const std::string more :
         {R"(,"summary":{"estimate":1e308})", R"(,"summary":{"estimate":-1})", R"(,"summary":{"agreement":2})",
          R"(,"summary":{"estimate":"1"})", R"(,"score":[1e308,1e308,1e308,1e308])", R"(,"margin":[0,0,0,null])",
          R"(,"method":{"sites":[{"estimate":1e300}]})"}) {
        INFO(more);
        files.put("gauge", gaugeText(4, more));
        requireRefused(run(files, {"show", "gauge"}), "it must be a number");
    }
    for (const std::string more :
         {R"(,"summary":[])", R"(,"source":"a")", R"(,"target":{"name":5})", R"(,"method":null)",
          R"(,"method":{"sites":5})", R"(,"method":{"sites":[null]})", R"(,"method":{"sites":[{"name":[]}]})",
          R"(,"method":{"rows":-1})", R"(,"method":{"rows":1.5})", R"(,"method":{"sites":[{"set_aside":"1"}]})"}) {
        INFO(more);
        files.put("gauge", gaugeText(4, more));
        requireRefused(run(files, {"show", "gauge"}), "\"");
    }
    std::string later = gaugeText(4);
    later.replace(later.find("\"version\":1"), 11, "\"version\":2");
    files.put("gauge", later);
    requireRefused(run(files, {"show", "gauge"}), "a later regauge wrote it");
}

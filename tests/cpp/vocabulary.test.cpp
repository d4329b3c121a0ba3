#include "regauge/vocabulary.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tensor_files.hpp"

using namespace regauge;
using namespace regauge::test;

namespace {

std::string textOf(const std::string& json, const std::vector<std::int64_t>& ids) {
    MemoryFiles files;
    files.put("run/model/config.json", "{}");
    files.put("run/model/tokenizer.json", json);
    std::string unread;
    const auto vocabulary = Vocabulary::beside(files, "run/model", unread);
    INFO(unread);
    REQUIRE(vocabulary);
    return vocabulary->text(ids);
}

}  // namespace

// tests/fixtures/tokenizers: trained by the tokenizers library 0.23, whose decode() is in expected.json.
TEST_CASE("token ids become the text that the tokenizers library decodes, whatever the kind of tokenizer.json") {
    const auto expected = nlohmann::json::parse(fixture("tokenizers/expected.json"));
    for (const char* kind : {"byte_level", "sentence_piece", "unigram", "word_piece"}) {
        INFO(kind);
        std::string text = textOf(fixture(std::string("tokenizers/") + kind + ".json"), expected[kind]["ids"]);
        if (text.starts_with(' ')) text.erase(0, 1);  // decode() takes it off, as ids begin a text there
        CHECK(text == expected[kind]["text"].get<std::string>());
    }
}

TEST_CASE("ids that stand for nothing are U+FFFD, and added tokens stand for themselves") {
    const std::string json = R"({"added_tokens": [{"id": 2, "content": "<|end|>"}], "decoder": {"type": "ByteLevel"},
                                 "model": {"type": "BPE", "vocab": {"a": 0, "\u0120b": 1}, "merges": []}})";
    CHECK(textOf(json, {0, 1, 2, 3, -1}) == "a b<|end|>\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_CASE("a tokenizer of another kind says nothing, and of a damaged one is said why") {
    MemoryFiles files;
    files.put("m/config.json", "{}");
    std::string unread;
    CHECK(!Vocabulary::beside(files, "m", unread));
    files.put("m/tokenizer.json", R"({"model": {"type": "WordLevel", "vocab": {"a": 0}}})");
    CHECK(!Vocabulary::beside(files, "m", unread));
    CHECK(unread.empty());
    for (const char* damaged : {"[1]", "{", R"({"model": {"type": "BPE", "vocab": {"a": 2000}}})"}) {
        files.put("m/tokenizer.json", damaged);
        INFO(damaged);
        unread.clear();
        CHECK(!Vocabulary::beside(files, "m", unread));
        CHECK(unread.starts_with("m/tokenizer.json"));
    }
}

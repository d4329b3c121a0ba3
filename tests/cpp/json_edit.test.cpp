#include "io/json_edit.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace regauge;

TEST_CASE("an entry put into JSON text and taken out again leaves the text as it was, whatever its layout") {
    const char* texts[] = {R"({"__metadata__":{"format":"pt"},"a":{"x":1}}  )",
                           R"({"a":{}})",
                           "{}",
                           R"({"__metadata__":{},"a":1})",
                           R"({ "__metadata__" : { } , "a":1})",
                           "{\n  \"d\": 1,\n  \"__metadata__\": {\n    \"h\": \"x,}\"\n  }\n}\n",
                           R"({ "a":1})"};
    for (const std::string text : texts)
        for (const std::string object : {"__metadata__", ""})
            for (const std::size_t alignment : {1U, 8U}) {
                INFO(text << " " << object << " " << alignment);
                const std::string once = withJsonEntry(text, object, "k", "one", alignment);
                const std::string twice = withJsonEntry(once, object, "k", "one,and a longer one", alignment);
                CHECK(jsonEntry(twice, object, "k") == "one,and a longer one");
                CHECK(once.size() % alignment == 0);
                CHECK(twice.size() % alignment == 0);
                CHECK(withJsonEntry(twice, object, "k", "one", alignment) == once);
                CHECK(withJsonEntry(once, object, "k", "", alignment) == text);
                CHECK(jsonEntry(text, object, "k").empty());
                CHECK(withJsonEntry(text, object, "k", "", alignment) == text);
            }
}

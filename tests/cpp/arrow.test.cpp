// Arrow tables: the fixtures are written by pyarrow and datasets (tests/interop/arrow.py fixtures); their values are 0,
// 1/8, 2/8, ..
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <numeric>

#include "command_run.hpp"
#include "io/bytes.hpp"
#include "regauge/evidence.hpp"
#include "regauge/io/gauge_json.hpp"
#include "tensor_files.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string hook = "blocks.1.hook_resid_pre";

std::vector<double> counted(std::size_t count) {
    std::vector<double> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<double>(i) / 8;
    return values;
}

// The dataset that was saved in two files, in folder `name`.
void putSaved(MemoryFiles& files, const std::string& name) {
    for (const char* file :
         {"data-00000-of-00002.arrow", "data-00001-of-00002.arrow", "state.json", "dataset_info.json"})
        files.put(name + "/" + file, fixture(std::string("arrow/saved/") + file));
}

std::vector<float> rowsOf(const Site& site) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(site.rows->rows()) * site.rows->d() *
                                 byteSize(site.rows->dtype()));
    site.rows->read(0, site.rows->rows(), bytes);
    std::vector<float> values(static_cast<std::size_t>(site.rows->rows()) * site.rows->d());
    convertToFloat(bytes, site.rows->dtype(), values);
    return values;
}

// Little-endian numbers, one behind the other.
template <class... T>
std::string little(T... values) {
    std::string text;
    const auto add = [&](auto value) {
        std::array<std::byte, sizeof(value)> bytes;
        storeLittle(value, bytes.data());
        text += asText(bytes);
    };
    (add(values), ...);
    return text;
}

// A stream's schema message of `count` columns that are one table and so have one name, of `length` letters, and one
// list of `entries` that are nothing.
std::string sharedSchema(std::uint32_t count, std::uint32_t length, std::uint32_t entries) {
    using std::uint32_t;
    const auto u16 = [](auto... values) { return little(static_cast<std::uint16_t>(values)...); };
    std::string text(4, 0);
    const auto at = [&] { return static_cast<uint32_t>(text.size()); };
    const auto point = [&](uint32_t from) { text.replace(from, 4, little(at() - from)); };  // to the end
    const uint32_t messages = at();
    text += u16(10, 16, 4, 6, 8, 0);
    const uint32_t schemas = at();
    text += u16(8, 8, 0, 4);
    const uint32_t fields = at();  // name, -, kind, type, -, -, metadata
    text += u16(18, 20, 4, 0, 16, 8, 0, 0, 12, 0);
    const uint32_t types = at();
    text += u16(4, 4);
    const uint32_t message = at();
    point(0), text += little(message - messages) + u16(4, 1) + little(uint32_t{0}, uint32_t{0});
    const uint32_t schema = at();
    point(message + 8), text += little(schema - schemas, uint32_t{0});
    point(schema + 4), text += little(count);
    for (uint32_t i = 0; i < count; ++i) text += little(4 * (count - i));
    const uint32_t field = at();
    text += little(field - fields, uint32_t{0}, uint32_t{0}, uint32_t{0}, uint32_t{13});  // of kind structure
    point(field + 8), text += little(at() - types);
    point(field + 4), text += little(length) + std::string(length, 'n');
    text.resize((text.size() + 7) / 8 * 8);
    point(field + 12), text += little(entries);
    const uint32_t table = at();
    for (uint32_t i = 0; i < entries; ++i) text += little(4 * (entries - i));
    text += little(at() - types) + std::string(4 * (table / 4 % 2), 0);
    return "\xff\xff\xff\xff" + little(at()) + text;
}

}  // namespace

TEST_CASE("arrow: every kind of column is read or left out with its reason") {
    const TensorFile file = openText(fixture("arrow/kinds.arrow"));
    CHECK(file.format == FileFormat::arrow);
    const auto shapeOf = [&](const char* name) { return file.find(name)->info.shape; };
    CHECK(shapeOf("fixed_f16") == Shape{6, 4});
    CHECK(shapeOf("list_f64") == Shape{6, 4});
    CHECK(shapeOf("large_f32") == Shape{6, 3, 4});
    CHECK(shapeOf("fixed_of_lists") == Shape{6, 2, 4});
    CHECK(shapeOf("sequences") == Shape{9, 2});  // of one and two rows, by turns
    CHECK(valuesOf(file, "fixed_f16") == counted(24));
    CHECK(valuesOf(file, "list_f64") == counted(24));
    CHECK(valuesOf(file, "large_f32") == counted(72));
    CHECK(valuesOf(file, "fixed_of_lists") == counted(48));
    CHECK(valuesOf(file, "sequences") == std::vector<double>{0, 1, 1, 1, 1, 1, 2, 1, 3, 1, 3, 1, 4, 1, 5, 1, 5, 1});
    const std::vector<std::pair<std::string, std::string>> left{{"text", "texts"},
                                                                {"ragged", "lists of different lengths"},
                                                                {"nulls", "has nulls"},
                                                                {"number", "one number a row"},
                                                                {"dictionary", "values of a dictionary"},
                                                                {"structure", "structures"},
                                                                {"view", "text views"},
                                                                {"nothing", "nulls"},
                                                                {"map", "maps"}};
    CHECK(file.metadata == left);
}

TEST_CASE("arrow: booleans are bits in the file and bytes in a tensor, read from any of them on") {
    const TensorFile file = openText(fixture("arrow/kinds.arrow"));
    const auto mask = static_cast<std::size_t>(file.find("attention_mask") - file.tensors.data());
    std::string expected;
    for (int row = 0; row < 6; ++row) expected += {static_cast<char>(row % 2 == 0), 1, 0};
    CHECK(storedBytes(file, mask) == expected);
    const auto bytes = tensorBytes(file, mask);
    for (std::size_t from = 0; from < expected.size(); ++from)
        for (std::size_t count = 0; count <= expected.size() - from; ++count) {
            std::string part(count, '?');
            bytes->read(from, std::as_writable_bytes(std::span(part)));
            CHECK(part == expected.substr(from, count));
        }
}

TEST_CASE("arrow: a saved dataset is evidence, its files in order, with its tokens and sequences") {
    MemoryFiles files;
    putSaved(files, "a");
    const Evidence evidence = openEvidence(files, "a");
    REQUIRE(evidence.sites.size() == 1);
    CHECK(evidence.sites[0].name == hook);
    CHECK(evidence.sites[0].sequence == 3);
    CHECK(evidence.d == 4);
    const std::vector<double> values = counted(60);
    CHECK(rowsOf(evidence.sites[0]) == std::vector<float>(values.begin(), values.end()));
    std::vector<std::int64_t> tokens(15);
    std::iota(tokens.begin(), tokens.end(), 0);
    CHECK(evidence.tokenIds == tokens);
    // One file of it, and the whole as the only split of a dataset of splits.
    CHECK(openEvidence(files, "a/data-00001-of-00002.arrow").sites[0].rows->rows() == 6);
    putSaved(files, "b/train");
    files.put("b/dataset_dict.json", R"({"splits": ["train"]})");
    CHECK(openEvidence(files, "b").sites[0].rows->rows() == 15);
    files.put("b/dataset_dict.json", R"({"splits": ["train", "test"]})");
    CHECK_THROWS_WITH(openEvidence(files, "b"), ContainsSubstring("give the folder of one: b/train, b/test"));
}

TEST_CASE("arrow: what state.json says goes before names, and numbers before letters where there is none") {
    const std::string first = fixture("arrow/saved/data-00000-of-00002.arrow"),
                      second = fixture("arrow/saved/data-00001-of-00002.arrow");
    const auto firstValue = [&](MemoryFiles& files) { return rowsOf(openEvidence(files, "a").sites[0]).front(); };
    MemoryFiles files;
    files.put("a/data-10.arrow", second);
    files.put("a/data-9.arrow", first);
    files.put("a/cache-1.arrow", "not of it");
    CHECK(firstValue(files) == 0);
    files.put("a/state.json", R"({"_data_files": [{"filename": "data-10.arrow"}, {"filename": "data-9.arrow"}]})");
    CHECK(firstValue(files) == 36.0F / 8);  // 3 sequences of 3 rows of 4 numbers are in the first file
    files.put("a/state.json", R"({"_data_files": [{"filename": "data-11.arrow"}]})");
    CHECK_THROWS_WITH(openEvidence(files, "a"), ContainsSubstring("is named by state.json"));
    for (const char* bad : {R"({"_data_files": [{"filename": "../data-9.arrow"}]})", R"({"_data_files": {}})",
                            R"({"_data_files": [3]})"}) {
        files.put("a/state.json", bad);
        CHECK_THROWS_WITH(openEvidence(files, "a"), ContainsSubstring("expected a list of names"));
    }
    MemoryFiles half;
    half.put("a/data-00001-of-00002.arrow", second);
    CHECK_THROWS_WITH(openEvidence(half, "a"), ContainsSubstring("has 1 of the 2 files"));
    half.put("a/data-00000-of-00002.arrow", fixture("arrow/file.arrow"));
    CHECK_THROWS_WITH(openEvidence(half, "a"), ContainsSubstring("give one table's files"));
}

TEST_CASE("arrow: a file with a footer is read as a stream is, and both are refused where they are cut off") {
    const std::string text = fixture("arrow/file.arrow"), stream = fixture("arrow/kinds.arrow");
    CHECK(valuesOf(openText(text), hook) == counted(24));
    for (std::size_t length = 8; length < text.size(); ++length)
        CHECK(openRefusal(text.substr(0, length)).code == ErrorCode::truncated);
    // A stream may end without its last 8 bytes, at the end of a message.
    CHECK_NOTHROW(openText(stream.substr(0, stream.size() - 8)));
    CHECK(openRefusal(stream.substr(0, stream.size() - 9)).code == ErrorCode::truncated);
    CHECK_THAT(openRefusal(stream + stream).message, ContainsSubstring("follow the end of this Arrow stream"));
}

TEST_CASE("arrow: what is not read is refused with its reason and a way out") {
    for (const char* codec : {"lz4", "zstd"}) {
        const Refusal refusal = openRefusal(fixture(std::string("arrow/") + codec + ".arrow"));
        CHECK(refusal.code == ErrorCode::unsupported);
        CHECK_THAT(refusal.message,
                   ContainsSubstring(codec[0] == 'l' ? "LZ4" : "ZSTD") && ContainsSubstring("pyarrow.ipc.open_stream"));
    }
    CHECK_THAT(openRefusal(fixture("arrow/none.arrow")).message,
               ContainsSubstring("ragged (lists of different lengths), nulls (has nulls)"));
    const std::string kinds = fixture("arrow/kinds.arrow");
    // A message's length beyond the file, one without its mark, and a name that two columns share.
    CHECK(openRefusal(kinds.substr(0, 4) + "\xff\xff\xff\x7f" + kinds.substr(8)).code == ErrorCode::truncated);
    const std::size_t second = kinds.find("\xff\xff\xff\xff", 8);
    CHECK_THAT(openRefusal(kinds.substr(0, second) + "\x10" + kinds.substr(second + 1)).message,
               ContainsSubstring("before 0.15"));
    std::string twice = kinds;
    twice.replace(twice.find("ragged"), 6, "number");
    CHECK_THAT(openRefusal(twice).message, ContainsSubstring("two columns called 'number'"));
}

TEST_CASE("arrow: a table is inspected and taken as evidence, and never moved") {
    MemoryFiles files;
    putSaved(files, "a");
    putSaved(files, "b");
    CHECK_THAT(run(files, {"inspect", "a"}).out,
               ContainsSubstring("evidence, which is read and not moved") && ContainsSubstring("[5, 3, 4]"));
    CHECK_THAT(run(files, {"align", "a", "b", "-o", "g"}).out, ContainsSubstring(hook));
    files.put("g", toJson(alignmentOf(randomGauge(4, 1))));
    for (const char* object : {"a", "a/data-00000-of-00002.arrow"}) {
        const auto refused = run(files, {"transport", object, "--gauge", "g", "--force", "-o", "out"});
        CHECK(refused.status != 0);
        CHECK_THAT(refused.err,
                   ContainsSubstring("reads as evidence and does not write") && ContainsSubstring("numpy.save"));
        CHECK_FALSE(files.exists("out"));
    }
}

TEST_CASE("arrow: fields that share one name or one list of metadata do not grow beyond the file that they are in") {
    // One column is read as far as it goes: a structure, which is left out.
    CHECK_THAT(openRefusal(sharedSchema(1, 3000, 700)).message, ContainsSubstring("nnn (structures)"));
    for (const std::string& text : {sharedSchema(3, 3000, 0), sharedSchema(3, 1, 3000)}) {
        const Refusal refusal = openRefusal(text);
        CHECK(refusal.code == ErrorCode::malformed);
        CHECK_THAT(refusal.message, ContainsSubstring("has names longer than itself"));
    }
}

TEST_CASE("arrow: a batch whose buffers overlap or are not what its columns take is refused") {
    std::string text = fixture("arrow/file.arrow");
    const std::size_t values = text.find(little(std::uint64_t{0}, std::uint64_t{64}));  // 4 rows of 4 float32
    REQUIRE(values != std::string::npos);
    text.replace(values - 8, 8, little(std::uint64_t{8}));
    CHECK_THAT(openRefusal(text).message, ContainsSubstring("buffers overlap"));
    // How many buffers a column of views has beside its own; on 32 bits large ones would add up to small ones.
    for (const std::uint64_t more : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{40}, std::uint64_t{1} << 32}) {
        std::string kinds = fixture("arrow/kinds.arrow");
        const std::size_t count = kinds.find(little(std::uint32_t{1}, std::uint64_t{1}));
        REQUIRE(count != std::string::npos);
        kinds.replace(count + 4, 8, little(more));
        CHECK_THAT(openRefusal(kinds).message, ContainsSubstring("buffers, which is not what the columns"));
    }
}

TEST_CASE("arrow: tensors of a fixed shape are no rows as long as all their axes together") {
    const Refusal refusal = openRefusal(fixture("arrow/tensors.arrow"));
    CHECK(refusal.code == ErrorCode::unsupported);
    CHECK_THAT(refusal.message,
               ContainsSubstring("tensors (tensors of a fixed shape)") && ContainsSubstring("c.to_numpy_ndarray()"));
}

TEST_CASE("arrow: a file with a footer that is damaged is said to end where it ends") {
    std::string text = fixture("arrow/file.arrow");
    text.replace(text.rfind("\xff\xff\xff\xff") + 4, 4, little(std::uint32_t{1} << 20));
    const Refusal refusal = openRefusal(text);
    CHECK(refusal.code == ErrorCode::truncated);
    CHECK_THAT(refusal.message, ContainsSubstring("ends after " + std::to_string(text.size()) + " bytes"));
}

TEST_CASE("arrow: a folder with several tables, as datasets' cache has them, is ambiguous; caches alone are none") {
    const std::string first = fixture("arrow/saved/data-00000-of-00002.arrow"),
                      second = fixture("arrow/saved/data-00001-of-00002.arrow");
    MemoryFiles files;
    files.put("a/texts-train-00000-of-00002.arrow", first);
    files.put("a/texts-train-00001-of-00002.arrow", second);
    CHECK(openEvidence(files, "a").sites[0].rows->rows() == 15);
    files.put("a/texts-test.arrow", first);
    CHECK_THROWS_WITH(
        openEvidence(files, "a"),
        ContainsSubstring("several tables: texts-test.arrow, texts-train-00000-of-00002.arrow; give one"));
    files.put("b/cache-1.arrow", first);
    files.put("b/notes.txt", "none");
    CHECK_THAT(run(files, {"inspect", "b"}).err, ContainsSubstring("holds nothing that regauge recognises"));
}

TEST_CASE("arrow: lists of files are of modest size and name each file once") {
    MemoryFiles files;
    putSaved(files, "a");
    files.put(
        "a/state.json",
        R"({"_data_files": [{"filename": "data-00000-of-00002.arrow"}, {"filename": "data-00000-of-00002.arrow"}]})");
    CHECK_THROWS_WITH(openEvidence(files, "a"), ContainsSubstring("data-00000-of-00002.arrow twice"));
    files.put("a/state.json", std::string((std::size_t{64} << 20) + 1, ' '));
    CHECK_THROWS_WITH(openEvidence(files, "a"), ContainsSubstring("more than 64 MiB"));
    putSaved(files, "b/train");
    files.put("b/dataset_dict.json", R"({"splits": ["train", "train"]})");
    CHECK_THROWS_WITH(openEvidence(files, "b"), ContainsSubstring("names train twice"));
}

TEST_CASE("arrow: a model's folder with a table beside it is the model") {
    MemoryFiles files;
    files.put("m/config.json", R"({"model_type": "a_model_of_tomorrow", "hidden_size": 4})");
    files.put("m/pytorch_model.bin", fixture("views_share_storage.pt"));
    files.put("m/data.arrow", fixture("arrow/file.arrow"));
    CHECK_THAT(run(files, {"inspect", "m"}).err, ContainsSubstring("a family that regauge has no table for"));
    files.put("n/shard.distcp", "anything");
    files.put("n/data.arrow", fixture("arrow/file.arrow"));
    CHECK_THAT(run(files, {"inspect", "n"}).err, ContainsSubstring("distributed checkpoint"));
}

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "codec/crc32.hpp"
#include "io/pickle.hpp"
#include "io/zip.hpp"
#include "tensor_files.hpp"
#include "written_files.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const char* const readable[] = {"ae.pt",
                                "mean_diffs_bf16.pt",
                                "nested_checkpoint.pt",
                                "optimizer.pt",
                                "optimizer_model.pt",
                                "steering_bare.pt",
                                "steering_by_layer.pt"};

void checkCrcs(const std::string& text) {
    const auto source = std::make_shared<TextSource>("crcs", text);
    for (const ZipEntry& entry : readZip(*source).entries) {
        std::vector<std::byte> bytes(static_cast<std::size_t>(entry.size));
        openMember(source, entry, entry.size, "crcs")->read(0, bytes);
        Crc32 crc;
        crc.update(bytes);
        INFO(entry.name);
        CHECK(crc.value() == entry.crc);
    }
}

Refusal pickleRefusal(const std::string& opcodes) {
    return requireRefusal([&] { readPickle(std::as_bytes(std::span(opcodes)), "p.pt"); });
}

}  // namespace

TEST_CASE("torch: values, offsets and strides are PyTorch's") {
    const auto check = [](const std::string& file, const std::string& tensor, const nlohmann::json& values) {
        INFO(file << " " << tensor);
        CHECK(valuesOf(openText(fixture(file)), tensor) == flatten(values));
    };
    const nlohmann::json& expected = expectedJson();
    check("steering_bare.pt", "tensor", expected["steering_bare.pt"]["values"]);
    for (const char* layer : {"3", "5"})
        check("steering_by_layer.pt", layer, expected["steering_by_layer.pt"]["values"][layer]);
    check("mean_diffs_bf16.pt", "tensor", expected["mean_diffs_bf16.pt"]["values_as_f32"]);
    for (const char* tensor : {"encoder.weight", "encoder.bias", "decoder.weight", "bias"})
        check("ae.pt", tensor, expected["ae.pt"]["values"][tensor]);
    check("nested_checkpoint.pt", "model.w", expected["nested_checkpoint.pt"]["w"]);
    check("views_share_storage.pt", "view", expected["views_share_storage.pt"]["view"]);
    check("views_share_storage.pt", "base", expected["views_share_storage.pt"]["base"]);
}

TEST_CASE("torch: optimizer state has dotted names, and its groups are told as text") {
    const TensorFile file = openText(fixture("optimizer.pt"));
    const nlohmann::json& expected = expectedJson()["optimizer.pt"];
    for (std::size_t i = 0; i < expected["param_names"].size(); ++i) {
        const std::string name = expected["param_names"][i];
        for (const char* moment : {"exp_avg", "exp_avg_sq"}) {
            std::vector<double> values = valuesOf(file, "state." + std::to_string(i) + "." + moment);
            values.resize(4);
            CHECK(values == flatten(expected[moment][name]));
        }
        CHECK(valuesOf(file, "state." + std::to_string(i) + ".step") == std::vector<double>{3.0});
    }
    const auto has = [&](const std::string& key, const std::string& value) {
        return std::find(file.metadata.begin(), file.metadata.end(), std::pair(key, value)) != file.metadata.end();
    };
    CHECK(has("param_groups.1.params.0", "8"));
    CHECK(openText(fixture("nested_checkpoint.pt")).metadata ==
          Provenance{{"cfg.lr", "0.001"}, {"cfg.names.0", "a"}, {"cfg.names.1", "b"}, {"cfg.ok", "true"}});
}

TEST_CASE("torch: rewriting patches the storages in place and mends the checksums") {
    for (const char* name : readable) {
        INFO(name);
        const std::string text = fixture(name);
        CHECK(rewrite(openText(text), copyTensor, {{"ignored", "here"}}) == text);
        checkComplementRoundTrip(text);
        const std::string moved = rewrite(openText(text), complementTensor);
        CHECK(moved.size() == text.size());
        checkCrcs(moved);
    }
}

TEST_CASE("torch: views that share a storage move together, and part where they would disagree") {
    const std::string text = fixture("views_share_storage.pt");
    CHECK(rewrite(openText(text)) == text);
    checkComplementRoundTrip(text);  // the same elementwise move for both
    checkCrcs(rewrite(openText(text), complementTensor));
    const MoveTensor onlyTheFirst = [](std::size_t index, const ByteSource& in, ByteSink& out) {
        (index == 0 ? complementTensor : copyTensor)(index, in, out);
    };
    const TensorFile before = openText(text);
    const std::string apart = rewrite(before, onlyTheFirst);
    const TensorFile after = openText(apart);
    checkCrcs(apart);
    CHECK(storedBytes(after, 1) == storedBytes(before, 1));
    std::string complemented = storedBytes(before, 0);
    for (char& byte : complemented) byte = static_cast<char>(~byte);
    CHECK(storedBytes(after, 0) == complemented);
    CHECK(storedBytes(openText(rewrite(after, onlyTheFirst)), 0) == storedBytes(before, 0));
}

TEST_CASE("torch: every way of sharing a storage gives each tensor the bytes that it would have alone") {
    // Seven elements: all of them, a part, every other one, one repeated, windows that overlap, and names of one
    // tensor.
    const std::vector<View> views{{"all", 0, 0, {7}, {1}},           {"part", 0, 2, {4}, {1}},
                                  {"stepped", 0, 1, {3}, {2}},       {"expanded", 0, 3, {2, 3}, {0, 1}},
                                  {"windows", 0, 0, {4, 3}, {1, 1}}, {"again", 0, 2, {4}, {1}, 1}};
    const std::string text = torchFile({{1, 2, 3, 4, 5, 6, 7}}, views, {{"note", "kept"}});
    const TensorFile file = openText(text);
    CHECK(rewrite(file) == text);
    CHECK(valuesOf(file, "windows") == std::vector<double>{1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6});
    CHECK(rewrite(openText(rewrite(file, complementTensor)), complementTensor) ==
          text);  // they agree, so the storage stays one
    // Bytes that depend on the tensor and on the place in it: no two agree, and some not with themselves.
    const MoveTensor own = [](std::size_t index, const ByteSource& in, ByteSink& out) {
        std::vector<std::byte> bytes(static_cast<std::size_t>(in.size()));
        in.read(0, bytes);
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] ^= static_cast<std::byte>(17 * index + i);
        out.write(bytes);
    };
    const std::string apart = rewrite(file, own);
    checkCrcs(apart);
    const TensorFile moved = openText(apart);
    REQUIRE(moved.tensors.size() == views.size());
    for (std::size_t i = 0; i < views.size(); ++i) {
        INFO(views[i].name);
        std::string expected = storedBytes(file, i);
        for (std::size_t k = 0; k < expected.size(); ++k)
            expected[k] =
                static_cast<char>(static_cast<unsigned char>(expected[k]) ^ static_cast<unsigned char>(17 * i + k));
        CHECK(moved.tensors[i].info.name == views[i].name);
        CHECK(storedBytes(moved, i) == expected);
    }
    CHECK(moved.metadata == file.metadata);
    CHECK(rewrite(moved) == apart);
}

TEST_CASE("torch: hostile and damaged files are refused, and nothing in them is run") {
    struct Case {
        const char* name;
        ErrorCode code;
        const char* says;
    };
    const Case cases[] = {
        {"evil_os_system.pt", ErrorCode::unsupported, "posix.system"},
        {"evil_eval.pt", ErrorCode::unsupported, ".eval"},
        {"legacy_format.pt", ErrorCode::unsupported, "re-save"},
        {"truncated.pt", ErrorCode::truncated, "cut short"},
        {"short_storage.pt", ErrorCode::malformed, "should hold 16 elements"},
    };
    for (const Case& bad : cases) {
        const Refusal refusal = openRefusal(fixture(bad.name), bad.name);
        INFO(refusal);
        CHECK(refusal.code == bad.code);
        CHECK_THAT(refusal.message, ContainsSubstring(bad.name) && ContainsSubstring(bad.says));
    }
}

TEST_CASE("torch: the pickle interpreter refuses what it does not know, by name, and every kind of damage in one way") {
    using namespace std::string_literals;
    CHECK_THAT(pickleRefusal("csubprocess\nPopen\n.").message, ContainsSubstring("subprocess.Popen"));
    CHECK(pickleRefusal("\x8c\x02os\x8c\x06system\x93."s).code == ErrorCode::unsupported);  // STACK_GLOBAL
    CHECK_THAT(pickleRefusal("c\x1b[2Jx\ny\n.").message,
               !ContainsSubstring("\x1b"));  // no escape codes to the terminal
    for (const std::string& bad :
         {""s, "("s, "(."s, "]]."s, "h\x05."s, "\x86."s, "X\xff\xff\xff\x7f."s, "\x80\x09."s, "i"s, "o"s, "P0\n."s,
          "NQ."s, "}N\x85R."s, "NN\x86R."s, "K\x01K\x02s."s, "}(K\x01u."s,
          "ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR."s, "ctorch\nFloatStorage\n)R."s, "Nb."s}) {
        INFO(bad);
        CHECK(pickleRefusal(bad).code == ErrorCode::malformed);
    }
}

TEST_CASE("torch: a pickle that contains itself, nests deep or unfolds without end is refused") {
    using namespace std::string_literals;
    CHECK(pickleRefusal("]q\0h\0a."s).code == ErrorCode::malformed);  // a list in itself
    CHECK(pickleRefusal(std::string(100000, ']') + std::string(99999, 'a') + ".").code == ErrorCode::malformed);
    std::string bomb = "]q\0K\x01"s + "a"s;  // each list holds the one before ten times
    for (char level = 0; level < 20; ++level) {
        bomb += "](";
        for (int i = 0; i < 10; ++i) bomb += "h"s + level;
        bomb += "eq"s + static_cast<char>(level + 1);
    }
    bomb += "(t.";
    CHECK(pickleRefusal(bomb.substr(0, bomb.size() - 3) + std::string(20, '0')).code ==
          ErrorCode::malformed);  // POP is outside the whitelist
    std::string unfolding = "]";
    unfolding += "q\0"s + "K\x01"s + "a";
    for (char level = 0; level < 20; ++level) {
        unfolding += "(";
        for (int i = 0; i < 10; ++i) unfolding += "h"s + level;
        unfolding += "t\x85"s + "q"s + static_cast<char>(level + 1);
        unfolding += "\x86"s;  // (before, this)
    }
    CHECK(pickleRefusal(unfolding + ".").code == ErrorCode::tooLarge);
}

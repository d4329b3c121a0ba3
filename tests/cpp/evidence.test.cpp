#include "regauge/evidence.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <limits>

#include "io/bytes.hpp"
#include "refusal.hpp"
#include "regauge/first_row.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "tensor_files.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<float> readRows(const RowReader& rows, std::uint64_t first, std::uint64_t count) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(count) * rows.d() * byteSize(rows.dtype()));
    rows.read(first, count, bytes);
    std::vector<float> values(static_cast<std::size_t>(count) * rows.d());
    convertToFloat(bytes, rows.dtype(), values);
    return values;
}

const Site* siteOf(const Evidence& evidence, const std::string& name) {
    const auto found =
        std::find_if(evidence.sites.begin(), evidence.sites.end(), [&](const Site& site) { return site.name == name; });
    return found == evidence.sites.end() ? nullptr : &*found;
}
const Gains* gainsOf(const Evidence& evidence, const std::string& name) {
    const auto found = std::find_if(evidence.gains.begin(), evidence.gains.end(),
                                    [&](const Gains& gains) { return gains.name == name; });
    return found == evidence.gains.end() ? nullptr : &*found;
}

// Tensors of any dtype by their raw bytes, in a safetensors file.
struct Raw {
    std::string name, dtype, shape, bytes;
};
std::string rawSafetensors(const std::vector<Raw>& tensors) {
    std::string header = "{", data;
    for (const Raw& tensor : tensors) {
        header += std::string(header.size() > 1 ? "," : "") + '"' + tensor.name + R"(":{"dtype":")" + tensor.dtype +
                  R"(","shape":)" + tensor.shape + R"(,"data_offsets":[)" + std::to_string(data.size()) + ',' +
                  std::to_string(data.size() + tensor.bytes.size()) + "]}";
        data += tensor.bytes;
    }
    header += '}';
    std::string text(8, '\0');
    storeLittle<std::uint64_t>(header.size(), reinterpret_cast<std::byte*>(text.data()));
    return text + header + data;
}

Refusal evidenceRefusal(const MemoryFiles& files, const std::string& path) {
    return requireRefusal([&] { openEvidence(files, path); });
}

std::vector<Array> tinyLlama(bool tied) {
    std::vector<Array> arrays{randomArray("model.embed_tokens.weight", {10, 4}, 1),
                              randomArray("model.norm.weight", {4}, 2)};
    if (!tied) arrays.push_back(randomArray("lm_head.weight", {10, 4}, 3));
    for (const char* name : {"input_layernorm", "post_attention_layernorm"})
        arrays.push_back(randomArray("model.layers.0." + std::string(name) + ".weight", {4}, 4));
    for (const char* name : {"self_attn.q_proj", "self_attn.o_proj"})
        arrays.push_back(randomArray("model.layers.0." + std::string(name) + ".weight", {4, 4}, 5));
    arrays.push_back(randomArray("model.layers.0.mlp.up_proj.weight", {6, 4}, 6));
    arrays.push_back(randomArray("model.layers.0.mlp.down_proj.weight", {4, 6}, 7));
    arrays.push_back(
        randomArray("model.layers.0.self_attn.q_norm.weight", {4}, 8));  // as long as the stream is wide, and not in it
    return arrays;
}

const std::string llamaConfig = R"({"model_type":"llama","hidden_size":4})";

}  // namespace

TEST_CASE("evidence: a bundle gives sites, gains, token ids and mask, and flattens leading axes") {
    MemoryFiles files;
    const Array activations = randomArray("activations/resid.1", {2, 3, 4}, 1);
    const std::string floats(reinterpret_cast<const char*>(activations.values.data()), activations.values.size() * 4);
    const Array gains = randomArray("g", {4}, 2);
    files.put("e.safetensors",
              rawSafetensors({{"activations/resid.1", "F32", "[2,3,4]", floats},
                              {"gains/attn.0", "F32", "[4]", {reinterpret_cast<const char*>(gains.values.data()), 16}},
                              {"token_ids", "I16", "[2,3]", std::string("\1\0\2\0\3\0\xff\xff\5\0\6\0", 12)},
                              {"attention_mask", "BOOL", "[2,3]", std::string("\1\1\0\1\1\1", 6)}}));
    const Evidence evidence = openEvidence(files, "e.safetensors");
    CHECK(evidence.name == "e.safetensors");
    CHECK(evidence.sha256.hex().size() == 64);
    CHECK(evidence.d == 4);
    REQUIRE(siteOf(evidence, "resid.1") != nullptr);
    const Site& site = *siteOf(evidence, "resid.1");
    CHECK(site.rows->rows() == 6);
    CHECK(site.sequence == 3);
    CHECK_FALSE(site.weights);
    CHECK(readRows(*site.rows, 0, 6) == activations.values);
    CHECK(readRows(*site.rows, 2, 1) ==
          std::vector<float>(activations.values.begin() + 8, activations.values.begin() + 12));
    CHECK(site.rows->where() == "e.safetensors: activations/resid.1");
    CHECK(gainsOf(evidence, "attn.0")->values == std::vector<double>(gains.values.begin(), gains.values.end()));
    CHECK(evidence.tokenIds == std::vector<std::int64_t>{1, 2, 3, -1, 5, 6});
    CHECK(evidence.mask == std::vector<std::uint8_t>{1, 1, 0, 1, 1, 1});
}

TEST_CASE("evidence: plain rows come from npy, npz, pt and folders of them") {
    MemoryFiles files;
    files.put("rows.npy", fixture("three_d.npy"));
    const Evidence one = openEvidence(files, "rows.npy");
    CHECK(one.d == 16);
    CHECK(one.sites.at(0).name == "rows");
    CHECK(one.sites[0].rows->rows() == 6);
    CHECK(one.sites[0].sequence == 3);

    files.put("mean.pt", fixture("mean_diffs_bf16.pt"));
    CHECK(openEvidence(files, "mean.pt").sites.at(0).rows->rows() == 20);
    files.put("c.npz", fixture("compressed.npz"));
    files.put("c_order.npy", fixture("c_order.npy"));
    CHECK(readRows(*openEvidence(files, "c.npz").sites.at(0).rows, 0, 7) ==
          readRows(*openEvidence(files, "c_order.npy").sites.at(0).rows, 0, 7));

    files.put("many.safetensors",
              safetensors({randomArray("a", {5, 4}, 1), randomArray("b", {5, 4}, 2), randomArray("mean", {4}, 3)}));
    const Evidence many = openEvidence(files, "many.safetensors");
    CHECK(many.sites.size() == 2);
    CHECK(many.sites[1].name == "b");

    files.put("folder/layer.1.npy", fixture("c_order.npy"));
    files.put("folder/layer.2.npy", fixture("f16.npy"));
    files.put("folder/notes.txt", "x");
    const Evidence folder = openEvidence(files, "folder");
    CHECK(folder.sha256.hex().empty());
    CHECK(folder.sites.size() == 2);
    CHECK(folder.sites[0].name == "layer.1");

    files.put("bundle/evidence.safetensors", rawSafetensors({{"activations/x", "F16", "[2,2]", "abcdefgh"}}));
    CHECK(openEvidence(files, "bundle").sites.at(0).name == "x");
}

TEST_CASE("evidence: a strided torch view is read as its rows") {
    MemoryFiles files;
    files.put("v.pt", fixture("views_share_storage.pt"));
    const TensorFile file = openText(fixture("views_share_storage.pt"));
    CHECK(valuesOf(file, "view") == flatten(expectedJson()["views_share_storage.pt"]["view"]));
    CHECK(evidenceRefusal(files, "v.pt").code == ErrorCode::shapeMismatch);  // 16 and 32 wide: no one residual stream
}

TEST_CASE(
    "evidence: a checkpoint gives embedding, unembedding, gains, rows of reading and columns of writing weights") {
    MemoryFiles files;
    files.put("m/config.json", llamaConfig);
    const std::vector<Array> arrays = tinyLlama(false);
    files.put("m/model.safetensors", safetensors(arrays));
    const Evidence evidence = openEvidence(files, "m");
    CHECK(evidence.d == 4);
    CHECK(evidence.gains.size() == 3);
    CHECK(gainsOf(evidence, "final") != nullptr);
    CHECK(gainsOf(evidence, "input_layernorm.0") != nullptr);
    CHECK(siteOf(evidence, "embedding")->rows->rows() == 10);
    CHECK(siteOf(evidence, "unembedding") != nullptr);
    CHECK_FALSE(siteOf(evidence, "embedding")->weights);
    CHECK(siteOf(evidence, "weights.0.up_proj")->weights);
    CHECK(readRows(*siteOf(evidence, "weights.0.up_proj")->rows, 0, 6) == arrays[arrays.size() - 3].values);

    const std::vector<float>& down = arrays[arrays.size() - 2].values;  // [4, 6]
    for (const std::uint64_t first : {0U, 2U}) {
        const std::vector<float> columns = readRows(*siteOf(evidence, "weights.0.down_proj")->rows, first, 6 - first);
        for (std::size_t row = 0; row < 6 - first; ++row)
            for (std::size_t i = 0; i < 4; ++i)
                CHECK(columns[row * 4 + i] == down[i * 6 + row + static_cast<std::size_t>(first)]);
    }
    for (const Site& site : evidence.sites) CHECK(site.name.find("norm") == std::string::npos);
    CHECK(openEvidence(files, "m/model.safetensors").gains.size() == 3);  // the file alone
}

TEST_CASE("evidence: Gemma's gains are 1 + w, by its config or by its four norms") {
    MemoryFiles files;
    std::vector<Array> arrays = tinyLlama(true);
    arrays.push_back(randomArray("model.layers.0.pre_feedforward_layernorm.weight", {4}, 9));
    for (const char* path : {"m/model.safetensors", "n/model.safetensors", "o/model.safetensors"})
        files.put(path, safetensors(arrays));
    files.put("m/config.json", R"({"model_type":"gemma2","hidden_size":4})");
    files.put("o/config.json", R"({"model_type":"olmo2","hidden_size":4})");
    const double w = static_cast<double>(arrays[1].values[0]);
    CHECK(gainsOf(openEvidence(files, "m"), "final")->values[0] == 1 + w);
    CHECK(gainsOf(openEvidence(files, "n/model.safetensors"), "final")->values[0] == 1 + w);
    CHECK(gainsOf(openEvidence(files, "o"), "final")->values[0] == w);
    CHECK(siteOf(openEvidence(files, "m"), "unembedding") == nullptr);
}

TEST_CASE("evidence: prefixes of wrappers are understood, and vision towers left out") {
    MemoryFiles files;
    files.put("m/config.json", R"({"model_type":"gemma3","text_config":{"model_type":"gemma3_text","hidden_size":4}})");
    files.put("m/model.safetensors",
              safetensors({randomArray("language_model.model.embed_tokens.weight", {5, 4}, 1),
                           randomArray("language_model.model.layers.11.input_layernorm.weight", {4}, 2),
                           randomArray("vision_tower.encoder.layers.0.input_layernorm.weight", {7}, 3),
                           randomArray("multi_modal_projector.mm_soft_emb_norm.weight", {7}, 3)}));
    const Evidence evidence = openEvidence(files, "m");
    CHECK(evidence.gains.size() == 1);
    CHECK(evidence.gains[0].name == "input_layernorm.11");
    CHECK(evidence.sites.size() == 1);
}

TEST_CASE("evidence: what wrappers put into a checkpoint's names is no part of them, here as in transport") {
    for (const char* prefix : {"_orig_mod.model.", "module._fsdp_wrapped_module.model.", "base_model.model.model."}) {
        INFO(prefix);
        MemoryFiles files;
        const std::string layer = std::string(prefix) + "layers.0._fsdp_wrapped_module.";
        files.put("m.safetensors", safetensors({randomArray(std::string(prefix) + "embed_tokens.weight", {5, 4}, 1),
                                                randomArray(layer + "input_layernorm.weight", {4}, 2),
                                                randomArray(layer + "mlp.up_proj.weight", {6, 4}, 3)}));
        const Evidence evidence = openEvidence(files, "m.safetensors");
        CHECK(siteOf(evidence, "embedding") != nullptr);
        CHECK(siteOf(evidence, "weights.0.up_proj") != nullptr);
        CHECK(gainsOf(evidence, "input_layernorm.0") != nullptr);
    }
}

TEST_CASE("evidence: every weight that a family must have is evidence under its own names, Meta's and GPT-2's too") {
    MemoryFiles files;
    files.put("meta.safetensors", safetensors({randomArray("tok_embeddings.weight", {5, 4}, 1),
                                               randomArray("layers.0.attention.wq.weight", {6, 4}, 2),
                                               randomArray("layers.0.attention.wo.weight", {4, 6}, 3),
                                               randomArray("layers.0.attention_norm.weight", {4}, 4),
                                               randomArray("output.weight", {5, 4}, 5)}));
    const Evidence meta = openEvidence(files, "meta.safetensors");
    CHECK(siteOf(meta, "unembedding") != nullptr);
    CHECK(siteOf(meta, "weights.0.wq")->rows->rows() == 6);
    CHECK(siteOf(meta, "weights.0.wo")->rows->rows() == 6);
    files.put("gpt2.safetensors",
              safetensors({randomArray("wte.weight", {5, 4}, 1), randomArray("h.0.attn.c_attn.weight", {4, 12}, 2),
                           randomArray("h.0.attn.c_proj.weight", {4, 4}, 3),
                           randomArray("h.0.mlp.c_proj.weight", {16, 4}, 4)}));
    const Evidence gpt2 = openEvidence(files, "gpt2.safetensors");
    CHECK(siteOf(gpt2, "weights.0.c_attn")->rows->rows() == 12);
    CHECK(siteOf(gpt2, "weights.0.attn.c_proj") != nullptr);
}

TEST_CASE("evidence: hooks that are known to be in another space are left out, whatever their width") {
    MemoryFiles files;
    files.put("cache.safetensors", safetensors({randomArray("blocks.0.attn.hook_q", {6, 4}, 1),
                                                randomArray("blocks.0.hook_resid_post", {6, 4}, 2),
                                                randomArray("blocks.0.mlp.hook_post", {6, 16}, 3)}));
    CHECK(openEvidence(files, "cache.safetensors").sites.size() == 1);
    files.put("bundle.safetensors", safetensors({randomArray("activations/blocks.0.attn.hook_z", {6, 4}, 1)}));
    const Refusal refusal = evidenceRefusal(files, "bundle.safetensors");
    CHECK(refusal.code == ErrorCode::unsupported);
    CHECK_THAT(refusal.message, ContainsSubstring("head space"));
}

TEST_CASE("the first row of a tensor is read as numbers, in every order and format") {
    MemoryFiles files;
    const std::vector<double> all = valuesOf(openText(fixture("c_order.npy")), "array");
    for (const char* name : {"c_order.npy", "fortran_order.npy", "big_endian.npy", "compressed.npz"}) {
        INFO(name);
        files.put(name, fixture(name));
        const FirstRow row = firstRow(files, name, "whatever");
        REQUIRE(row.values.size() == row.shape.back());
        CHECK(std::equal(row.values.begin(), row.values.end(), all.begin()));
    }
    files.put("two.safetensors", safetensors({randomArray("a", {2, 4}, 1), randomArray("b", {4}, 2)}));
    CHECK(firstRow(files, "two.safetensors", "b").values == randomArray("b", {4}, 2).values);
    const Refusal refusal = requireRefusal([&] { firstRow(files, "two.safetensors", "c"); });
    CHECK(refusal.code == ErrorCode::usage);
    CHECK_THAT(refusal.message, ContainsSubstring("a, b"));
}

TEST_CASE("checkpoint files: shards are read by their index, and checked against it") {
    MemoryFiles files;
    const auto index = [&](const std::string& map) {
        files.put("m/model.safetensors.index.json", R"({"metadata":{"total_size":1},"weight_map":{)" + map + "}}");
    };
    files.put("m/config.json", llamaConfig);
    files.put("m/model-00001-of-00002.safetensors", safetensors({randomArray("model.embed_tokens.weight", {5, 4}, 1)}));
    files.put("m/model-00002-of-00002.safetensors", safetensors({randomArray("model.norm.weight", {4}, 2)}));
    const std::string first = R"("model.embed_tokens.weight":"model-00001-of-00002.safetensors")";
    index(first + R"(,"model.norm.weight":"model-00002-of-00002.safetensors")");
    for (const char* path : {"m", "m/model.safetensors.index.json"}) {
        const CheckpointFiles checkpoint = openCheckpointFiles(files, path);
        CHECK(checkpoint.folder == "m");
        CHECK(checkpoint.index == "model.safetensors.index.json");
        CHECK(checkpoint.names ==
              std::vector<std::string>{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"});
        CHECK(checkpoint.shards[1].find("model.norm.weight") != nullptr);
        CHECK(openEvidence(files, path).gains.size() == 1);
    }
    const auto refused = [&](const std::string& map, ErrorCode code, const std::string& says) {
        index(map);
        const Refusal refusal = evidenceRefusal(files, "m");
        INFO(refusal);
        CHECK(refusal.code == code);
        CHECK_THAT(refusal.message, ContainsSubstring(says));
    };
    refused(first + R"(,"x":"model-00003-of-00003.safetensors")", ErrorCode::missingFile, "this shard is missing");
    refused(first + R"(,"x":"model-00002-of-00002.safetensors")", ErrorCode::malformed,
            "x: the tensor is not in this shard");
    refused(R"("x":"../secret.safetensors")", ErrorCode::malformed, "beside the index");
    refused(R"("x":5)", ErrorCode::malformed, "beside the index");
    refused("", ErrorCode::malformed, "weight_map");
    files.put("m/model-00002-of-00002.safetensors", safetensors({randomArray("model.norm.weight", {4}, 2),
                                                                 randomArray("model.embed_tokens.weight", {5, 4}, 1)}));
    refused(first + R"(,"model.norm.weight":"model-00002-of-00002.safetensors")", ErrorCode::malformed,
            "also in model-00001");
}

TEST_CASE("evidence: what does not fit is refused with file, tensor and what was expected") {
    MemoryFiles files;
    const auto refused = [&](const std::string& path, const std::string& text, ErrorCode code,
                             const std::string& says) {
        files.put(path, text);
        const Refusal refusal = evidenceRefusal(files, path);
        INFO(refusal);
        CHECK(refusal.code == code);
        CHECK_THAT(refusal.message, ContainsSubstring(path) && ContainsSubstring(says));
    };
    CHECK(evidenceRefusal(files, "nothing.npy").code == ErrorCode::missingFile);
    refused("i8.npy", fixture("i8.npy"), ErrorCode::wrongDtype, "found I8");
    refused("empty.npy", fixture("empty.npy"), ErrorCode::shapeMismatch, "no rows");
    refused("object.npy", fixture("object.npy"), ErrorCode::unsupported, "never runs");
    refused("v.gguf", fixture("control_vector.gguf"), ErrorCode::unsupported, "GGUF");
    refused("u16.safetensors", rawSafetensors({{"x", "U16", "[1,2]", "abcd"}}), ErrorCode::wrongDtype, "bfloat16");
    refused("ids.safetensors", rawSafetensors({{"activations/x", "I64", "[1,1]", "abcdefgh"}}), ErrorCode::wrongDtype,
            "found I64");
    refused("width.safetensors",
            rawSafetensors({{"activations/x", "F16", "[1,2]", "abcd"}, {"activations/y", "F16", "[2,1]", "abcd"}}),
            ErrorCode::shapeMismatch, "activations/y: rows of 1");
    refused("gains.safetensors",
            rawSafetensors({{"activations/x", "F16", "[1,2]", "abcd"}, {"gains/a", "F16", "[1]", "ab"}}),
            ErrorCode::shapeMismatch, "gains/a: 1 gains");
    refused("gains2.safetensors", rawSafetensors({{"gains/a", "F16", "[1,1]", "ab"}}), ErrorCode::shapeMismatch,
            "should be [d]");
    refused("nan.safetensors", rawSafetensors({{"gains/a", "F16", "[2]", std::string("\0\0\1\x7c", 4)}}),
            ErrorCode::notFinite, "channel 1");
    refused("tokens.safetensors",
            rawSafetensors({{"activations/x", "F16", "[1,2]", "abcd"}, {"token_ids", "U8", "[3]", "abc"}}),
            ErrorCode::shapeMismatch, "there are 3 token_ids");
    refused("tokens2.safetensors",
            rawSafetensors({{"activations/x", "F16", "[1,2]", "abcd"}, {"token_ids", "F16", "[1]", "ab"}}),
            ErrorCode::wrongDtype, "expected integers");
    refused("other.safetensors",
            rawSafetensors({{"activations/x", "F16", "[1,2]", "abcd"}, {"what", "F16", "[1]", "ab"}}),
            ErrorCode::unsupported, "what: not understood");
}

TEST_CASE("more gains join those of the evidence; a file without any, or of another width, is refused") {
    MemoryFiles files;
    files.put("rows", safetensors({randomArray("activations/resid.1", {9, 4}, 1), randomArray("gains/final", {4}, 2),
                                   randomArray("gains/attn.0", {4}, 3)}));
    const Array final = randomArray("gains/final", {4}, 4), mlp = randomArray("gains/mlp.0", {4}, 5);
    files.put("gains", safetensors({final, mlp}));
    Evidence evidence = openEvidence(files, "rows");
    addGains(evidence, files, "gains");
    REQUIRE(evidence.gains.size() == 3);
    CHECK(gainsOf(evidence, "attn.0"));
    for (const Array& array : {final, mlp}) {
        const Gains* gains = gainsOf(evidence, array.name.substr(6));
        REQUIRE(gains);
        CHECK(std::equal(array.values.begin(), array.values.end(), gains->values.begin(), gains->values.end()));
    }
    files.put("none", safetensors({randomArray("w", {4}, 6)}));
    CHECK(codeOf([&] { addGains(evidence, files, "none"); }) == ErrorCode::usage);
    files.put("wide", safetensors({randomArray("gains/final", {5}, 7)}));
    CHECK(codeOf([&] { addGains(evidence, files, "wide"); }) == ErrorCode::dimensionMismatch);
}

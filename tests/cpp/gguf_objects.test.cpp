// GGUF models beside those of Llama's names. What each family's tensors are named, and that they move as the
// checkpoint's do, is compared with the gguf package in tests/interop/architectures.py.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "refusal.hpp"
#include "regauge/transport.hpp"
#include "written_files.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t d = 8;

struct Row {
    std::string name;
    Shape shape;
    std::string actions;  // one letter an axis: odd, even, or . for none
};

std::string model(const std::string& architecture, const std::vector<Row>& rows) {
    std::vector<Array> arrays{randomArray("token_embd.weight", {11, d}, 1)};
    for (const Row& row : rows) arrays.push_back(randomArray(row.name, row.shape, 2));
    return gguf(arrays, {{"general.architecture", architecture}});
}

std::string said(const std::string& file, const Gauge& gauge) {
    MemoryFiles files;
    files.put("m.gguf", file);
    const auto refusal = refusalOf([&] { transport(files, "m.gguf", alignmentOf(gauge), "moved.gguf"); });
    return refusal ? refusal->message : "";
}

void checkMoves(const std::string& architecture, const std::vector<Row>& rows, const Gauge& gauge) {
    MemoryFiles files;
    files.put("m.gguf", model(architecture, rows));
    transport(files, "m.gguf", alignmentOf(gauge), "moved.gguf");
    for (const Row& row : rows) {
        INFO(row.name);
        Array expected = randomArray(row.name, row.shape, 2);
        for (std::size_t axis = 0; axis < row.actions.size(); ++axis)
            if (row.actions[axis] != '.') expected = movedAxis(expected, gauge, axis, row.actions[axis] == 'o');
        CHECK(arrayIn(files, "moved.gguf", row.name).values == expected.values);
    }
}

Gauge orderOf(const Gauge& gauge, std::int8_t sign = 1) {
    return Gauge(gauge.perm(), std::vector<std::int8_t>(d, sign));
}

}  // namespace

TEST_CASE("gguf: mixers, gates, latent streams and encoders move by the axes that their architectures give them") {
    const Gauge gauge = randomGauge(d, 5);
    checkMoves("qwen2moe", {{"blk.0.ffn_gate_inp_shexp.weight", {1, d}, ".o"}}, gauge);
    checkMoves("qwen35moe",
               {{"blk.0.attn_gate.weight", {d, d}, ".o"},
                {"blk.0.ssm_alpha.weight", {4, d}, ".o"},
                {"blk.0.ssm_beta.weight", {4, d}, ".o"},
                {"blk.0.ssm_conv1d.weight", {d, 4}, ".."},
                {"blk.0.ssm_out.weight", {d, d}, "o."},
                {"blk.0.ffn_gate_up_exps.weight", {2, 6, d}, "..o"}},
               gauge);
    checkMoves("lfm2",
               {{"blk.0.shortconv.in_proj.weight", {3 * d, d}, ".o"},
                {"blk.0.shortconv.conv.weight", {d, 3}, ".."},
                {"blk.0.shortconv.out_proj.weight", {d, d}, "o."}},
               gauge);
    checkMoves("gemma3n",
               {{"altup_proj.weight", {3, d, d}, ".oo"},
                {"per_layer_token_embd.weight", {11, d}, ".."},
                {"per_layer_model_proj.weight", {d, d}, ".o"},
                {"blk.0.proj.weight", {d, d}, "o."},
                {"blk.0.altup_correct_scale.weight", {d}, "e"},
                {"blk.0.altup_router.weight", {4, d}, ".o"}},
               gauge);
    checkMoves("t5",
               {{"enc.blk.0.attn_q.weight", {d, d}, ".o"},
                {"enc.blk.0.attn_o.weight", {d, d}, "o."},
                {"enc.blk.0.attn_rel_b.weight", {32, 2}, ".."},
                {"dec.blk.0.cross_attn_k.weight", {d, d}, ".o"},
                {"dec.blk.0.ffn_down.weight", {d, 12}, "o."},
                {"dec.output_norm.weight", {d}, "e"}},
               gauge);
    checkMoves("bitnet", {{"blk.0.attn_sub_norm.weight", {d}, "."}}, gauge);
}

TEST_CASE("gguf: an encoder whose LayerNorm subtracts a mean moves by order alone, and a classifier reads that order") {
    const std::vector<Row> rows{{"token_types.weight", {2, d}, ".o"},
                                {"token_embd_norm.bias", {d}, "o"},
                                {"blk.0.attn_output_norm.weight", {d}, "e"},
                                {"blk.0.layer_output_norm.bias", {d}, "o"},
                                {"cls.weight", {d, d}, ".o"},
                                {"cls.output.weight", {3, d}, ".."}};
    const Gauge gauge = randomGauge(d, 5);
    for (const char* architecture : {"bert", "nomic-bert-moe", "jina-bert-v3"}) {
        CHECK_THAT(said(model(architecture, rows), gauge), ContainsSubstring("subtracts the mean over the channels"));
        checkMoves(architecture, rows, orderOf(gauge));
        checkMoves(architecture, rows, orderOf(gauge, -1));
    }
}

TEST_CASE("gguf: a tower, an audio decoder and latent experts are refused in their own words") {
    const Gauge gauge = randomGauge(d, 5);
    CHECK_THAT(said(gguf({randomArray("v.blk.0.attn_q.weight", {d, d}, 1), randomArray("mm.0.weight", {d, d}, 2)},
                         {{"general.architecture", "clip"}}),
                    gauge),
               ContainsSubstring("a tower and what projects it into a language model"));
    CHECK_THAT(said(model("wavtokenizer-dec", {}), gauge), ContainsSubstring("an audio decoder"));
    CHECK_THAT(said(model("nemotron_h_moe", {{"blk.0.ffn_latent_down.weight", {d, d}, ".."}}), gauge),
               ContainsSubstring("latent space"));
    CHECK_THAT(said(model("rwkv7", {}), gauge), ContainsSubstring("general.architecture = rwkv7, which regauge does"));
}

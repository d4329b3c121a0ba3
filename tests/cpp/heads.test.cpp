// Heads of LayerNorm models, where one sign for all channels is free in the stream and need not be in what follows.
// tests/interop/heads.py compares the logits in transformers.
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

// A checkpoint of one layer with these tensors beside those that its family must have.
MemoryFiles checkpoint(const std::string& config, std::vector<std::string> required, const std::vector<Array>& more) {
    MemoryFiles files;
    std::vector<Array> arrays = more;
    for (const std::string& name : required) {
        const bool vector = name.find("orm") != std::string::npos || name.ends_with(".bias");
        arrays.push_back(randomArray(name, vector ? Shape{d} : Shape{d, d}, 3));
    }
    files.put("m/config.json", config);
    files.put("m/model.safetensors", safetensors(arrays));
    return files;
}

const std::vector<std::string> deberta{
    "deberta.embeddings.word_embeddings.weight",
    "deberta.embeddings.LayerNorm.weight",
    "deberta.encoder.layer.0.attention.output.dense.weight",
    "deberta.encoder.layer.0.attention.output.LayerNorm.weight",
    "deberta.encoder.layer.0.intermediate.dense.weight",
    "deberta.encoder.layer.0.output.dense.weight",
    "deberta.encoder.layer.0.output.LayerNorm.weight",
};

std::string moved(MemoryFiles files, std::int8_t sign) {
    const Gauge gauge = randomGauge(d, 5);
    const auto refusal = refusalOf(
        [&] { transport(files, "m", alignmentOf(Gauge(gauge.perm(), std::vector<std::int8_t>(d, sign))), "out"); });
    return refusal ? refusal->message : "";
}

}  // namespace

TEST_CASE("heads: where a function that is not odd lies before what reads it, not even one sign for all is taken") {
    const std::string config = R"({"model_type": "deberta-v2", "hidden_size": 8, "conv_act": ")";
    const MemoryFiles classifier =
        checkpoint(config + "gelu\"}", deberta,
                   {randomArray("pooler.dense.weight", {d, d}, 1), randomArray("classifier.weight", {3, d}, 2)});
    CHECK(moved(classifier, 1).empty());
    CHECK_THAT(
        moved(classifier, -1),
        ContainsSubstring("what its pooler writes passes through GELU (unless pooler_hidden_act says otherwise)") &&
            ContainsSubstring("not even one for all channels; align with --group permutation"));
    const std::vector<Array> convolution{randomArray("deberta.encoder.conv.conv.weight", {d, d, 3}, 1)};
    CHECK_THAT(moved(checkpoint(config + "gelu\"}", deberta, convolution), -1),
               ContainsSubstring("the convolution beside its first layer"));
    CHECK(moved(checkpoint(config + "gelu\"}", deberta, convolution), 1).empty());
    CHECK(moved(checkpoint(config + "tanh\"}", deberta, convolution), -1).empty());
    CHECK(moved(checkpoint(config + "gelu\"}", deberta, {}), -1).empty());  // said, and no convolution there
}

TEST_CASE("heads: the words' embedding of an encoder-decoder of BART's names is the one that both parts share") {
    std::vector<std::string> required{"model.shared.weight"};
    for (const char* part : {"encoder", "decoder"})
        for (const char* name : {"self_attn.q_proj.weight", "self_attn.out_proj.weight", "self_attn_layer_norm.weight",
                                 "fc1.weight", "fc2.weight"})
            required.push_back("model." + std::string(part) + ".layers.0." + name);
    const std::vector<Array> head{randomArray("classification_head.dense.weight", {d, d}, 1),
                                  randomArray("classification_head.out_proj.weight", {3, d}, 2)};
    MemoryFiles files = checkpoint(R"({"model_type": "bart", "d_model": 8})", required, head);
    const Gauge random = randomGauge(d, 5);
    const Gauge gauge(random.perm(), std::vector<std::int8_t>(d, -1));
    transport(files, "m", alignmentOf(gauge), "out");
    const auto is = [&](const std::string& name, const Array& expected) {
        return arrayIn(files, "out/model.safetensors", name).values == expected.values;
    };
    const auto before = [&](const std::string& name) { return arrayIn(files, "m/model.safetensors", name); };
    CHECK(is("model.shared.weight", movedAxis(before("model.shared.weight"), gauge, 1)));
    const std::string writes = "model.encoder.layers.0.fc2.weight";
    CHECK(is(writes, movedAxis(before(writes), gauge, 0)));
    CHECK(is("classification_head.dense.weight", movedAxis(head[0], gauge, 1)));
    CHECK(is("classification_head.out_proj.weight", head[1]));  // behind tanh, a space of its own
}

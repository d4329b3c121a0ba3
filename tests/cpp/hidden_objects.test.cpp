// Objects with hidden axes, or on MLP neurons, moved by a gauge with a hidden part.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <fstream>
#include <iterator>

#include "refusal.hpp"
#include "regauge/error.hpp"
#include "regauge/hidden.hpp"
#include "regauge/transport.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t d = 16, neurons = 24, headDim = 4;
const HiddenShape shape{2, neurons, 4, 2, headDim, headDim / 2};

// Places and signs of neurons in both layers, places of heads; of layer 1, scales where they are asked for.
HiddenGauge placesAndSigns(bool scales) {
    std::vector<HiddenLayer> layers = HiddenGauge::identity(shape).layers();
    for (std::size_t l = 0; l < layers.size(); ++l) {
        const Gauge order = randomGauge(neurons, static_cast<unsigned>(70 + l));
        layers[l].neurons = order.perm();
        layers[l].neuronSign = order.sign();
        layers[l].kvHeads = {1, 0};
        layers[l].heads = {3, 2, 0, 1};
    }
    if (scales) layers[1].neuronScale.assign(neurons, 2.0F);
    return HiddenGauge(shape, std::move(layers));
}

Gauge neuronsOf(const HiddenGauge& hidden, std::size_t layer, bool signs = true) {
    const HiddenLayer& one = hidden.layers()[layer];
    return Gauge(one.neurons, signs ? one.neuronSign : std::vector<std::int8_t>(neurons, 1));
}

// Whole heads in the places of others.
Gauge headsOf(const std::vector<std::uint32_t>& from) {
    std::vector<std::uint32_t> perm;
    for (const std::uint32_t head : from)
        for (std::uint32_t k = 0; k < headDim; ++k) perm.push_back(head * std::uint32_t{headDim} + k);
    return Gauge(perm, std::vector<std::int8_t>(perm.size(), 1));
}

void load(MemoryFiles& files, const std::string& fixture, const std::string& as) {
    std::ifstream in(std::string(REGAUGE_TEST_DATA) + "/fixtures/" + fixture, std::ios::binary);
    files.put(as, {std::istreambuf_iterator<char>(in), {}});
}

void putSae(MemoryFiles& files, const std::string& folder, const std::string& hook, std::size_t width = neurons) {
    files.put(folder + "/cfg.json", R"({"d_in":)" + std::to_string(width) +
                                        R"(,"d_sae":30,"architecture":"topk","hook_name":")" + hook + "\"}");
    files.put(folder + "/sae_weights.safetensors",
              safetensors({randomArray("W_enc", {width, 30}, 1), randomArray("W_dec", {30, width}, 2),
                           randomArray("b_enc", {30}, 3), randomArray("b_dec", {width}, 4)}));
}

std::string refusal(MemoryFiles& files, const std::string& object, const HiddenGauge& hidden,
                    const std::string& hook = "") {
    const auto attempt = [&](bool dryRun) {
        TransportOptions options;
        options.dryRun = dryRun;
        return refusalOf(
            [&] { transport(files, object, alignmentOf(Gauge::identity(d)), hidden, "never", hook, options); });
    };
    const auto found = attempt(false);
    if (!found) return "moved";
    CHECK(found->code == ErrorCode::unsupported);
    const auto dry = attempt(true);
    REQUIRE(dry);
    CHECK(dry->code == ErrorCode::unsupported);
    return found->message;
}

}  // namespace

TEST_CASE("optimizer state moves along heads and neurons, second moments without signs", "[hidden]") {
    MemoryFiles files;
    load(files, "optimizer.pt", "o/optimizer.pt");
    load(files, "optimizer_model.pt", "o/pytorch_model.bin");
    files.put("o/config.json", R"({"model_type": "llama", "hidden_size": 16})");
    const HiddenGauge hidden = placesAndSigns(false);
    const Gauge residual = randomGauge(d, 15);
    const Plan plan = transport(files, "o", alignmentOf(residual), hidden, "moved");
    CHECK_THAT(plan.description, ContainsSubstring("hidden axes move as well"));
    const auto check = [&](const std::string& file, const std::string& tensor, std::size_t stream, bool signs,
                           const Gauge& other) {
        INFO(tensor);
        const Array before = arrayIn(files, "o/" + file, tensor), after = arrayIn(files, "moved/" + file, tensor);
        CHECK(after.values == movedAxis(movedAxis(before, residual, stream, signs), other, 1 - stream, signs).values);
    };
    const HiddenLayer& layer = hidden.layers().front();
    for (const auto& [name, signs] : {std::pair(".exp_avg", true), std::pair(".exp_avg_sq", false)}) {
        const std::string file = "optimizer.pt", end = name;
        check(file, "state.1" + end, 1, signs, headsOf(layer.heads));         // q_proj
        check(file, "state.2" + end, 1, signs, headsOf(layer.kvHeads));       // k_proj
        check(file, "state.4" + end, 0, signs, headsOf(layer.heads));         // o_proj
        check(file, "state.5" + end, 1, signs, neuronsOf(hidden, 0, false));  // gate_proj
        check(file, "state.6" + end, 1, signs, neuronsOf(hidden, 0));         // up_proj
        check(file, "state.7" + end, 0, signs, neuronsOf(hidden, 0));         // down_proj
    }
    check("pytorch_model.bin", "model.layers.0.mlp.up_proj.weight", 1, true, neuronsOf(hidden, 0));
    transport(files, "moved", alignmentOf(residual.inverse()), hidden.inverse(), "back");
    CHECK(files.below("back") == files.below("o"));
}

TEST_CASE("an SAE on MLP neurons moves with its layer's neurons", "[hidden]") {
    MemoryFiles files;
    const HiddenGauge hidden = placesAndSigns(true);
    for (const auto& [hook, signs] :
         {std::pair("blocks.0.mlp.hook_post", true), std::pair("blocks.0.mlp.hook_pre", false),
          std::pair("model.layers.0.mlp.down_proj.input", true)}) {
        INFO(hook);
        putSae(files, "sae", hook);
        TransportOptions force;
        force.force = true;
        const Plan plan = transport(files, "sae", alignmentOf(Gauge::identity(d)), hidden, "moved", "", force);
        CHECK_THAT(plan.description, ContainsSubstring("neurons of layer 0"));
        const Gauge neuron = neuronsOf(hidden, 0, signs);
        for (const auto& [name, axis] : {std::pair("W_enc", 0), std::pair("W_dec", 1), std::pair("b_dec", 0)})
            CHECK(arrayIn(files, "moved/sae_weights.safetensors", name).values ==
                  movedAxis(arrayIn(files, "sae/sae_weights.safetensors", name), neuron, static_cast<std::size_t>(axis))
                      .values);
        CHECK(arrayIn(files, "moved/sae_weights.safetensors", "b_enc").values ==
              arrayIn(files, "sae/sae_weights.safetensors", "b_enc").values);
    }
    putSae(files, "scaled", "blocks.1.mlp.hook_post");
    CHECK_THAT(refusal(files, "scaled", hidden), ContainsSubstring("scales neurons of layer 1"));
    putSae(files, "beyond", "blocks.2.mlp.hook_post");
    CHECK_THAT(refusal(files, "beyond", hidden), ContainsSubstring("2 layers"));
    putSae(files, "pattern", "blocks.0.attn.hook_pattern");
    CHECK_THAT(refusal(files, "pattern", hidden), ContainsSubstring("attention weights"));
    CHECK_THAT(refusal(files, "sae", hidden, "blocks.0.mlp.hook_post"), ContainsSubstring("down_proj.input"));
}

TEST_CASE("an SAE on heads moves with its layer's heads, and with their signs", "[hidden]") {
    MemoryFiles files;
    const HiddenGauge places = placesAndSigns(false);
    std::vector<HiddenLayer> layers = places.layers();
    layers[1].turn = {-1, 0, 1, 0, 1, 0, -1, 0};  // planes (0, 2) of the first group, (1, 3) of the second
    const HiddenGauge hidden(shape, layers);
    const Gauge heads = headsOf(layers[0].heads), groups = headsOf(layers[0].kvHeads);
    const std::vector<std::int8_t> one{-1, 1, -1, 1}, other{1, -1, 1, -1};
    const auto signedBy = [&](const Gauge& gauge, std::size_t perGroup) {
        std::vector<std::int8_t> sign;
        for (std::size_t u = 0; u < 2 * perGroup; ++u)
            for (const std::int8_t s : u < perGroup ? one : other) sign.push_back(s);
        return Gauge(gauge.perm(), sign);
    };
    for (const auto& [hook, gauge] :
         {std::pair("blocks.0.attn.hook_z", heads), std::pair("model.layers.1.self_attn.o_proj.input", heads),
          std::pair("blocks.1.attn.hook_v", groups), std::pair("blocks.0.attn.hook_q", heads),
          std::pair("blocks.1.attn.hook_q", signedBy(heads, 2)), std::pair("blocks.1.attn.hook_k", signedBy(groups, 1)),
          std::pair("layers.1.self_attn.k_proj", signedBy(groups, 1))}) {
        INFO(hook);
        putSae(files, "sae", hook, gauge.d());
        TransportOptions force;
        force.force = true;
        const Plan plan = transport(files, "sae", alignmentOf(Gauge::identity(d)), hidden, "moved", "", force);
        CHECK_THAT(plan.description, ContainsSubstring("the heads of layer"));
        for (const auto& [name, axis] : {std::pair("W_enc", 0), std::pair("W_dec", 1), std::pair("b_dec", 0)})
            CHECK(arrayIn(files, "moved/sae_weights.safetensors", name).values ==
                  movedAxis(arrayIn(files, "sae/sae_weights.safetensors", name), gauge, static_cast<std::size_t>(axis))
                      .values);
        transport(files, "moved", alignmentOf(Gauge::identity(d)), hidden.inverse(), "back", "", force);
        for (const char* name : {"W_enc", "W_dec", "b_dec"})
            CHECK(arrayIn(files, "back/sae_weights.safetensors", name).values ==
                  arrayIn(files, "sae/sae_weights.safetensors", name).values);
    }
}

TEST_CASE("objects on heads are refused by name where the gauge turns or mixes their channels", "[hidden]") {
    MemoryFiles files;
    std::vector<HiddenLayer> layers = placesAndSigns(false).layers();
    layers[0].turn.assign(2 * headDim, 0.6F);
    layers[1].value.assign(2 * headDim * headDim, 0.25F);
    for (std::size_t k = 0; k < 2 * headDim; ++k)
        layers[1].value[k / headDim * headDim * headDim + k % headDim * (headDim + 1)] = 2;
    const HiddenGauge hidden(shape, layers);
    putSae(files, "z", "blocks.1.attn.hook_z", 16);
    CHECK_THAT(refusal(files, "z", hidden), ContainsSubstring("heads of layer 1 (value)"));
    putSae(files, "q", "blocks.0.attn.hook_q", 16);
    CHECK_THAT(refusal(files, "q", hidden), ContainsSubstring("heads of layer 0 (turn, free_keys)"));
    putSae(files, "v", "blocks.0.attn.hook_v", 8);
    transport(files, "v", alignmentOf(Gauge::identity(d)), hidden, "moved");
    files.put("probe.safetensors", safetensors({randomArray("v", {16}, 5)}));
    CHECK_THAT(refusal(files, "probe.safetensors", hidden, "blocks.1.attn.hook_z"),
               ContainsSubstring("mixes channels"));
}

TEST_CASE("vectors and lists on MLP neurons move with them where the place is said", "[hidden]") {
    MemoryFiles files;
    const HiddenGauge hidden = placesAndSigns(false);
    const Alignment residual = alignmentOf(randomGauge(d, 15));
    const std::string hook = "blocks.1.mlp.hook_post";
    files.put("v.safetensors", safetensors({randomArray("v", {neurons}, 5)}));
    TransportOptions vector;
    vector.kind = "vector";
    transport(files, "v.safetensors", residual, hidden, "moved.safetensors", hook, vector);
    const Gauge neuron = neuronsOf(hidden, 1);
    CHECK(arrayIn(files, "moved.safetensors", "v").values ==
          movedAxis(arrayIn(files, "v.safetensors", "v"), neuron, 0).values);

    const std::string text =
        R"({"hook": "blocks.1.mlp.hook_post", "layer": 1, "neurons": [3, 17], "values": [0.5, 2]})";
    files.put("list.json", text);
    transport(files, "list.json", residual, hidden, "list-moved.json");
    const auto place = [&](std::uint32_t old) {
        return static_cast<std::size_t>(std::ranges::find(neuron.perm(), old) - neuron.perm().begin());
    };
    const auto value = [&](std::uint32_t old, const std::string& written) {
        return (neuron.sign()[place(old)] < 0 ? "-" : "") + written;
    };
    CHECK(files.text("list-moved.json") == R"({"hook": "blocks.1.mlp.hook_post", "layer": 1, "neurons": [)" +
                                               std::to_string(place(3)) + ", " + std::to_string(place(17)) +
                                               R"(], "values": [)" + value(3, "0.5") + ", " + value(17, "2") + "]}");
    // The residual gauge alone does not act there, and a list of several layers moves by none of them.
    CHECK_THROWS_WITH(transport(files, "list.json", residual, "never"), ContainsSubstring("MLP hidden space"));
    files.put("rows.csv", "layer,neuron,value\n1,3,0.5\n0,4,1\n");
    CHECK_THAT(refusal(files, "rows.csv", hidden, hook), ContainsSubstring("layer 0"));
    files.put("layers.json", R"({"0": [3, 17], "1": [4]})");
    CHECK_THAT(refusal(files, "layers.json", hidden, hook), ContainsSubstring("layer 0"));
}

TEST_CASE("a list of residual channels moves where the hidden part cannot be undone in single precision", "[hidden]") {
    std::vector<HiddenLayer> layers = placesAndSigns(true).layers();
    layers[1].neuronScale[0] = 1e-40F;  // subnormal: its reciprocal is no float
    const HiddenGauge hidden(shape, std::move(layers));
    CHECK_THROWS_WITH(hidden.inverse(), ContainsSubstring("\"neuron_scale\" must hold"));
    MemoryFiles files;
    files.put("list.json", "[0, 3]");
    const Gauge residual = randomGauge(d, 16);
    CHECK_NOTHROW(transport(files, "list.json", alignmentOf(residual), hidden, "moved.json"));
    transport(files, "list.json", alignmentOf(residual), "alone.json");
    CHECK(files.text("moved.json") == files.text("alone.json"));
}

TEST_CASE("a hidden gauge moves a model of its own layers and heads, and no other of the same lengths", "[hidden]") {
    MemoryFiles files;
    std::vector<Array> arrays{randomArray("model.embed_tokens.weight", {11, d}, 1),
                              randomArray("model.norm.weight", {d}, 2)};
    for (std::size_t l = 0; l < shape.layers; ++l) {
        const std::string at = "model.layers." + std::to_string(l) + ".";
        const auto add = [&](const std::string& name, const Shape& dims) {
            arrays.push_back(randomArray(at + name + ".weight", dims, static_cast<unsigned>(arrays.size())));
        };
        add("self_attn.q_proj", {16, d}), add("self_attn.k_proj", {8, d}), add("self_attn.v_proj", {8, d});
        add("self_attn.o_proj", {d, 16});
        add("mlp.gate_proj", {neurons, d}), add("mlp.up_proj", {neurons, d}), add("mlp.down_proj", {d, neurons});
        add("input_layernorm", {d}), add("post_attention_layernorm", {d});
    }
    files.put("m/model.safetensors", safetensors(arrays));
    const Alignment residual = alignmentOf(Gauge::identity(d));
    const auto refusalWith = [&](const HiddenGauge& hidden, const std::string& config) {
        files.put("m/config.json", R"({"model_type": "llama")" + config + "}");
        std::string said;
        const auto attempt = [&](const auto& call) {
            const auto refusal = refusalOf(call);
            if (refusal) CHECK(refusal->code == ErrorCode::dimensionMismatch);
            said += refusal ? refusal->message : "moved";
        };
        attempt([&] { transport(files, "m", residual, hidden, "out"); });
        for (const auto& [name, bytes] : files.below("out")) files.contents.erase("out" + name);
        TransportOptions dry;
        dry.dryRun = true;
        attempt([&] { transport(files, "m", residual, hidden, "out", "", dry); });
        attempt([&] { movedHidden(files, hidden, "m"); });
        return said;
    };
    const HiddenGauge hidden = placesAndSigns(false);
    for (const std::string config :
         {R"()", R"(, "hidden_size": 16)", R"(, "num_attention_heads": 4, "num_key_value_heads": 2)",
          R"(, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4)",
          R"(, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": null)"})
        CHECK(refusalWith(hidden, config) == "movedmovedmoved");
    const auto refusedThrice = [&](const HiddenGauge& gauge, const std::string& config, const std::string& says) {
        INFO(config);
        const std::string said = refusalWith(gauge, config);
        CHECK_THAT(said, !ContainsSubstring("moved"));
        for (std::size_t at = 0, k = 0; k < 3; ++k) {
            at = said.find(says, at);
            REQUIRE(at != std::string::npos);
            at += says.size();
        }
    };
    refusedThrice(hidden, R"(, "num_hidden_layers": 1)", "with 1 layers, and the gauge's hidden part is of one with 2");
    refusedThrice(hidden, R"(, "num_hidden_layers": 3)", "with 3 layers");
    refusedThrice(hidden, R"(, "num_attention_heads": 2, "num_key_value_heads": 1)",
                  "with 2 heads, and the gauge's hidden part is of one with 4");
    refusedThrice(hidden, R"(, "text_config": {"num_attention_heads": 2, "num_key_value_heads": 1})", "with 2 heads");
    refusedThrice(hidden, R"(, "num_attention_heads": 4)", "with 4 key-value heads");
    refusedThrice(hidden, R"(, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8)",
                  "with 8 channels in a head, and the gauge's hidden part is of one with 4");
    // A gauge that does not say how wide heads are, and one that turns them.
    HiddenShape unsaid = shape;
    unsaid.headDim = unsaid.pairs = 0;
    const std::string heads = R"(, "num_attention_heads": 4, "num_key_value_heads": 2)";
    CHECK(refusalWith(HiddenGauge(unsaid, hidden.layers()), heads + R"(, "head_dim": 4)") == "movedmovedmoved");
    std::vector<HiddenLayer> layers = hidden.layers();
    layers[0].turn = {0.6F, 0.8F, 1, 0, 1, 0, 0, 1};
    const HiddenGauge turned(shape, layers);
    CHECK(refusalWith(turned, heads) == "movedmovedmoved");
    refusedThrice(turned, heads + R"(, "partial_rotary_factor": 0.5)",
                  "with 1 RoPE planes in a head, and the gauge's hidden part is of one with 2");
    // What lies in the residual stream alone has no heads, whatever model it lies beside.
    files.put("m/config.json", R"({"model_type": "llama", "num_attention_heads": 2})");
    files.put("m/v.safetensors", safetensors({randomArray("v", {d}, 5)}));
    CHECK_NOTHROW(transport(files, "m/v.safetensors", residual, hidden, "v"));
}

#include "regauge/recipe.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <set>

#include "recipes/name_pattern.hpp"
#include "recipes/recipe_table.hpp"
#include "refusal.hpp"
#include "regauge/transport.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("a pattern's placeholders take what they say and no more") {
    CHECK(matchName("layers.{l}.mlp", "layers.12.mlp"));
    CHECK_FALSE(matchName("layers.{l}.mlp", "layers.x.mlp"));
    CHECK_FALSE(matchName("layers.{l}.mlp", "layers..mlp"));
    CHECK_FALSE(matchName("layers.{l}", "layers.1.mlp"));
    CHECK(matchName("experts.{e}.w{l}", "experts.3.w1"));
    CHECK(matchName("{word}.bias", "q_proj.bias"));
    CHECK_FALSE(matchName("{word}.bias", "mlp.q_proj.bias"));
    CHECK(matchName("{any}", ""));
    CHECK(matchName("{any}.weight", "a.b.weight"));
    CHECK(*matchName("state.{module}.exp_avg", "state.model.norm.weight.exp_avg") == "model.norm.weight");
    CHECK_FALSE(matchName("W_enc", "w_enc"));
}

TEST_CASE("every compiled-in recipe can be read, has a rule with a reason, and no kind is empty") {
    std::set<std::string> paths;
    for (const Recipe& recipe : recipes()) {
        INFO(recipe.path << " " << recipe.kind);
        CHECK_FALSE(recipe.kind.empty());
        CHECK((!recipe.tensors.empty() || !recipe.refuse.empty() || recipe.isList()));
        for (const TensorRule& rule : recipe.tensors) {
            CHECK_FALSE(rule.why.empty());
            for (const std::string& word : rule.shape) CHECK_FALSE(word.empty());
        }
    }
    CHECK(kinds().size() > 30);
    CHECK(sharedRules().modelFiles.front() == "model.safetensors");  // what transformers loads first
}

// The family's rules, the first one of each name.
static std::vector<TensorRule> rulesOf(const Recipe& family) {
    std::set<std::string> names;
    std::vector<TensorRule> rules;
    for (const TensorRule& rule : family.tensors)
        if (names.insert(rule.name).second) rules.push_back(rule);
    return rules;
}

// The family's own table as a tiny checkpoint: every rule's tensor, with d on the residual axes and something else
// elsewhere.
static std::vector<Array> checkpointOf(const Recipe& family, std::size_t d) {
    std::vector<Array> arrays;
    unsigned seed = 1;
    for (const TensorRule& rule : rulesOf(family)) {
        Shape shape;
        for (const std::string& word : rule.shape)
            if (word == "odd" || word == "even" || word == "d")
                shape.push_back(d);
            else if (word.ends_with(":blocks"))
                shape.push_back(3 * d);
            else if (word == "1")
                shape.push_back(1);
            else if (word != "...")
                shape.push_back(word == "vocabulary" ? 11 : 5);
        std::string name = rule.name;
        for (std::size_t at; (at = name.find('{')) != std::string::npos;)
            name.replace(at, name.find('}') - at + 1, "1");
        arrays.push_back(randomArray("model." + name, shape, seed++));
    }
    return arrays;
}

TEST_CASE("every model family moves exactly the axes of its table, recognised by its config.json") {
    const std::size_t d = 8;
    for (const Recipe& family : recipes()) {
        if (!family.model || !family.refuse.empty()) continue;
        INFO(family.kind);
        MemoryFiles files;
        const Gauge gauge = family.alwaysPermutationOnly.empty()
                                ? randomGauge(d, 3)
                                : Gauge(randomGauge(d, 3).perm(), std::vector<std::int8_t>(d, 1));
        const std::vector<Array> arrays = checkpointOf(family, d);
        const std::vector<TensorRule> rules = rulesOf(family);
        files.put("m/model.safetensors", safetensors(arrays, R"("__metadata__":{"format":"pt"})"));
        files.put("m/config.json", R"({"hidden_size": 8, "model_type": ")" + family.when.front().is.front() + "\"}");
        files.put("m/tokenizer.json", "{}");
        files.put("m/evidence.safetensors", safetensors({randomArray("activations/x", {2, d}, 1)}));
        const Plan plan = transport(files, "m", alignmentOf(gauge), "moved");
        CHECK(plan.kind == family.kind);
        CHECK(plan.d == d);
        for (std::size_t i = 0; i < arrays.size(); ++i) {
            Array expected = arrays[i];
            for (std::size_t axis = 0; axis < expected.shape.size(); ++axis) {
                const std::string& word = rules[i].shape.size() == expected.shape.size() ? rules[i].shape[axis] : "*";
                if (word == "odd" || word == "even") expected = movedAxis(expected, gauge, axis, word == "odd");
                if (!word.ends_with(":blocks")) continue;
                const auto at = expected.shape.begin() + static_cast<std::ptrdiff_t>(axis);
                expected.shape.insert(at, 3);
                expected.shape[axis + 1] = d;
                expected = movedAxis(expected, gauge, axis + 1, word == "odd:blocks");
                expected.shape.erase(expected.shape.begin() + static_cast<std::ptrdiff_t>(axis));
                expected.shape[axis] = 3 * d;
            }
            INFO(arrays[i].name);
            CHECK(arrayIn(files, "moved/model.safetensors", arrays[i].name).values == expected.values);
        }
        CHECK(files.exists("moved/tokenizer.json"));
        CHECK_FALSE(files.exists("moved/evidence.safetensors"));  // neither copied unmoved nor guessed
        transport(files, "moved", alignmentOf(gauge.inverse()), "back");
        CHECK(files.text("back/model.safetensors") == files.text("m/model.safetensors"));
        CHECK(files.text("back/config.json") == files.text("m/config.json"));
    }
}

TEST_CASE("an axis of several streams holds whole ones, and each of them moves") {
    MemoryFiles files;
    const Gauge gauge = randomGauge(8, 3);
    const auto put = [&](const Shape& shape) {
        files.put("m/model.safetensors", safetensors({randomArray("model.embed_tokens.weight", {5, 8}, 1),
                                                      randomArray("mtp.fc.weight", shape, 2)}));
        files.put("m/config.json", R"({"hidden_size": 8, "model_type": "qwen3_5"})");
    };
    put({8, 16});
    const Plan plan = transport(files, "m", alignmentOf(gauge), "moved");
    CHECK(plan.moves[1].moves[1].blocks == 2);
    const Array before = arrayIn(files, "m/model.safetensors", "mtp.fc.weight"),
                after = arrayIn(files, "moved/model.safetensors", "mtp.fc.weight");
    for (std::size_t row = 0; row < 8; ++row)
        for (std::size_t column = 0; column < 16; ++column) {
            const std::size_t block = column / 8 * 8, channel = column % 8;
            const float sign = static_cast<float>(gauge.sign()[row] * gauge.sign()[channel]);
            CHECK(after.values[row * 16 + column] ==
                  sign * before.values[gauge.perm()[row] * 16 + block + gauge.perm()[channel]]);
        }
    put({8, 17});
    CHECK(codeOf([&] { planTransport(files, "m"); }) == ErrorCode::dimensionMismatch);
}

TEST_CASE("a table of many families is told by model_type alone") {
    MemoryFiles files;
    for (const Recipe& family : recipes())
        if (family.kind == "t5") files.put("model.safetensors", safetensors(checkpointOf(family, 8)));
    CHECK(planTransport(files, "model.safetensors").kind == "unknown");
    TransportOptions options;
    options.kind = "t5";
    CHECK(planTransport(files, "model.safetensors", options).unknown.empty());
}

TEST_CASE("OLMo 2's q_norm stays where it is, though it can be as long as the residual stream") {
    MemoryFiles files;
    for (const Recipe& family : recipes()) {
        if (family.kind != "olmo2") continue;
        std::vector<Array> arrays = checkpointOf(family, 8);
        for (Array& array : arrays)
            if (array.name.ends_with("q_norm.weight")) array = randomArray(array.name, {8}, 1);
        files.put("m/model.safetensors", safetensors(arrays));
        files.put("m/config.json", R"({"hidden_size": 8, "model_type": "olmo2"})");
    }
    transport(files, "m", alignmentOf(randomGauge(8, 3)), "moved");
    const std::string name = "model.layers.1.self_attn.q_norm.weight";
    CHECK(arrayIn(files, "moved/model.safetensors", name).values == arrayIn(files, "m/model.safetensors", name).values);
}

TEST_CASE("what no table covers is refused by name") {
    MemoryFiles files;
    const Alignment gauge = alignmentOf(randomGauge(8, 3));
    std::vector<Array> arrays;
    for (const Recipe& family : recipes())
        if (family.kind == "llama") arrays = checkpointOf(family, 8);
    const auto refusal = [&](const std::string& type, const std::string& more, const std::vector<Array>& tensors) {
        files.put("m/model.safetensors", safetensors(tensors));
        files.put("m/config.json", R"({"hidden_size": 8, "model_type": ")" + type + "\"" + more + "}");
        const auto code = codeOf([&] { transport(files, "m", gauge, "moved"); });
        CHECK_FALSE(files.exists("moved"));
        return code;
    };
    CHECK(refusal("stablelm", "", arrays) == ErrorCode::unsupported);
    CHECK(refusal("whisper", "", arrays) == ErrorCode::unsupported);
    CHECK(refusal("never-heard-of", "", arrays) == ErrorCode::unsupported);
    CHECK(refusal("llama", R"(, "quantization_config": {"bits": 4})", arrays) == ErrorCode::unsupported);
    std::vector<Array> more = arrays;
    more.push_back(randomArray("model.layers.0.adapter.weight", {8, 8}, 1));
    CHECK(refusal("llama", "", more) == ErrorCode::unknownTensor);
    more.back() = randomArray("model.layers.0.mlp.up_proj.qweight", {8, 8}, 1);
    CHECK(refusal("llama", "", more) == ErrorCode::unsupported);
    more = arrays;
    more.erase(more.begin());
    CHECK(refusal("llama", "", more) == ErrorCode::unsupported);  // no embedding: not a whole checkpoint
}

TEST_CASE("an unknown model_type with a known family's names is told which --kind moves it") {
    MemoryFiles files;
    for (const Recipe& family : recipes())
        if (family.kind == "qwen3") files.put("m/model.safetensors", safetensors(checkpointOf(family, 8)));
    files.put("m/config.json", R"({"hidden_size": 8, "model_type": "never-heard-of"})");
    CHECK_THROWS_WITH(planTransport(files, "m"),
                      ContainsSubstring("named as in") && ContainsSubstring("qwen3") && ContainsSubstring("--kind"));
    TransportOptions options;
    options.kind = "qwen3";
    CHECK(planTransport(files, "m", options).unknown.empty());
}

TEST_CASE("a checkpoint without its config.json is told by its names, where families agree") {
    MemoryFiles files;
    for (const Recipe& family : recipes())
        if (family.kind == "qwen3") files.put("model.safetensors", safetensors(checkpointOf(family, 8)));
    const Plan plan = planTransport(files, "model.safetensors");
    CHECK(plan.unknown.empty());
    CHECK(plan.d == 8);
}

TEST_CASE("an SAE computes the same function after the move, by its own arithmetic") {
    // relu(x W_enc + b_enc) W_dec + b_dec, for each layout: [d, F] or [F, d] on either side.
    struct Layout {
        const char* kind;
        bool encoderTransposed, decoderTransposed;
        const char *encoder, *decoder, *encoderBias, *decoderBias;
    };
    const Layout layout =
        GENERATE(Layout{"saelens", false, false, "W_enc", "W_dec", "b_enc", "b_dec"},
                 Layout{"qwen3-transcoder", true, false, "W_enc", "W_dec", "b_enc", "b_dec"},
                 Layout{"circuit-tracer", true, true, "W_enc", "W_dec", "b_enc", "b_dec"},
                 Layout{"dictionary-learning", true, true, "encoder.weight", "decoder.weight", "encoder.bias", "bias"},
                 Layout{"sparsify", true, false, "encoder.weight", "W_dec", "encoder.bias", "b_dec"},
                 Layout{"goodfire", true, true, "encoder_linear.weight", "decoder_linear.weight", "encoder_linear.bias",
                        "decoder_linear.bias"},
                 Layout{"gemma-scope-2", false, false, "w_enc", "w_dec", "b_enc", "b_dec"});
    INFO(layout.kind);
    constexpr std::size_t d = 8, F = 20;
    MemoryFiles files;
    files.put("sae.safetensors",
              safetensors({randomArray(layout.encoder, layout.encoderTransposed ? Shape{F, d} : Shape{d, F}, 1),
                           randomArray(layout.decoder, layout.decoderTransposed ? Shape{d, F} : Shape{F, d}, 2),
                           randomArray(layout.encoderBias, {F}, 3), randomArray(layout.decoderBias, {d}, 4)}));
    const auto run = [&](const std::string& path, const std::vector<float>& x) {
        const Array encoder = arrayIn(files, path, layout.encoder), decoder = arrayIn(files, path, layout.decoder);
        const Array encoderBias = arrayIn(files, path, layout.encoderBias),
                    decoderBias = arrayIn(files, path, layout.decoderBias);
        std::vector<double> out(decoderBias.values.begin(), decoderBias.values.end());
        for (std::size_t f = 0; f < F; ++f) {
            double latent = static_cast<double>(encoderBias.values[f]);
            for (std::size_t i = 0; i < d; ++i)
                latent += static_cast<double>(x[i]) *
                          static_cast<double>(encoder.values[layout.encoderTransposed ? f * d + i : i * F + f]);
            for (std::size_t i = 0; latent > 0 && i < d; ++i)
                out[i] +=
                    latent * static_cast<double>(decoder.values[layout.decoderTransposed ? i * F + f : f * d + i]);
        }
        return out;
    };
    const Gauge gauge = randomGauge(d, 5);
    TransportOptions options;
    options.kind = layout.kind;
    transport(files, "sae.safetensors", alignmentOf(gauge), "moved", options);
    const std::vector<float> x = randomArray("x", {d}, 6).values;
    const std::vector<double> expected = run("sae.safetensors", x), found = run("moved", regauge::apply(gauge, x)),
                              wrong = run("sae.safetensors", regauge::apply(gauge, x));
    double difference = 0, visible = 0;
    for (std::size_t i = 0; i < d; ++i) {
        const double moved = gauge.sign()[i] * expected[gauge.perm()[i]];
        difference = std::max(difference, std::abs(moved - found[i]));
        visible = std::max(visible, std::abs(moved - wrong[i]));
    }
    CHECK(difference < 1e-5);
    CHECK(visible > 0.1);
}

TEST_CASE("when latents and width are equal, names must decide and not lengths") {
    MemoryFiles files;
    const std::size_t d = 8;
    const std::vector<Array> arrays{randomArray("W_enc", {d, d}, 1), randomArray("W_dec", {d, d}, 2),
                                    randomArray("b_enc", {d}, 3), randomArray("b_dec", {d}, 4)};
    files.put("square.safetensors", safetensors(arrays));
    const auto code = [&](const std::string& object) { return codeOf([&] { planTransport(files, object, {}, d); }); };
    CHECK(code("square.safetensors") == ErrorCode::ambiguous);
    files.put("s/sae_weights.safetensors", safetensors(arrays));
    files.put("s/cfg.json", R"({"d_in": 8, "d_sae": 8, "architecture": "standard"})");
    CHECK(planTransport(files, "s").kind == "saelens");
    files.put("part.safetensors", safetensors({randomArray("W_enc", {d, 20}, 1), randomArray("W_dec", {20, d}, 2),
                                               randomArray("b_dec", {d}, 4)}));
    CHECK(code("part.safetensors") ==
          ErrorCode::unsupported);  // SAELens's layout, but where it reads is in the cfg.json that is not there
}

TEST_CASE("a LoRA adapter moves as the weights that it adapts") {
    MemoryFiles files;
    const std::size_t d = 8, r = 3;
    const Gauge gauge = randomGauge(d, 5);
    const std::string at = "base_model.model.model.layers.0.";
    const std::vector<Array> arrays{
        randomArray(at + "self_attn.q_proj.lora_A.weight", {r, d}, 1),
        randomArray(at + "self_attn.q_proj.lora_B.weight", {d, r}, 2),  // square: only the name tells
        randomArray(at + "self_attn.q_proj.lora_magnitude_vector", {d}, 3),
        randomArray(at + "self_attn.o_proj.lora_A.weight", {r, d}, 4),
        randomArray(at + "self_attn.o_proj.lora_B.weight", {d, r}, 5),
        randomArray(at + "self_attn.o_proj.lora_magnitude_vector", {d}, 6)};
    files.put("a/adapter_model.safetensors", safetensors(arrays, R"("__metadata__":{"format":"pt"})"));
    files.put("a/adapter_config.json", R"({"peft_type": "LORA", "r": 3})");
    const Plan plan = transport(files, "a", alignmentOf(gauge), "b");
    CHECK(plan.kind == "peft-lora");
    const auto moved = [&](std::size_t i) {
        return arrayIn(files, "b/adapter_model.safetensors", arrays[i].name).values;
    };
    CHECK(moved(0) == movedAxis(arrays[0], gauge, 1).values);
    CHECK(moved(1) == arrays[1].values);
    CHECK(moved(2) == arrays[2].values);
    CHECK(moved(3) == arrays[3].values);
    CHECK(moved(4) == movedAxis(arrays[4], gauge, 0).values);
    CHECK(moved(5) == movedAxis(arrays[5], gauge, 0, false).values);
    transport(files, "b", alignmentOf(gauge.inverse()), "c");
    CHECK(files.below("a") == files.below("c"));
    files.put("v/adapter_model.safetensors", safetensors(arrays));
    files.put("v/adapter_config.json", R"({"peft_type": "VERA"})");
    CHECK(codeOf([&] { planTransport(files, "v"); }) == ErrorCode::unsupported);
}

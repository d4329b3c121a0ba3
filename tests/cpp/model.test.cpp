#include "regauge/model.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <cstring>

#include <limits>

#include "native_files.hpp"
#include "refusal.hpp"
#include "regauge/error.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/reports.hpp"
#include "regauge/steer.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string sample = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/";

std::vector<float> readFloats(const Files& files, const std::string& path) {
    const TensorFile file = openTensorFile(files.open(path));
    std::vector<float> values(static_cast<std::size_t>(*elementCount(file.tensors[0].info.shape)));
    tensorBytes(file, 0)->read(0, std::as_writable_bytes(std::span(values)));
    return values;
}

ModelConfig parse(const std::string& json) { return parseModelConfig(json, "config.json"); }

// A Llama of one layer and five tokens; more: of its configuration.
std::vector<Array> tinyLlama(MemoryFiles& files, const std::string& folder, const std::string& more,
                             std::vector<Array> others = {}) {
    std::vector<Array> arrays;
    const auto add = [&](const std::string& name, const Shape& shape) {
        arrays.push_back(randomArray(name, shape, static_cast<unsigned>(arrays.size())));
    };
    add("model.embed_tokens.weight", {5, 4}), add("model.norm.weight", {4});
    for (const char* reader : {"self_attn.q", "self_attn.k", "self_attn.v", "mlp.gate", "mlp.up"})
        add("model.layers.0." + std::string(reader) + "_proj.weight", {4, 4});
    for (const char* writer : {"self_attn.o", "mlp.down"})
        add("model.layers.0." + std::string(writer) + "_proj.weight", {4, 4});
    for (const char* norm : {"input", "post_attention"})
        add("model.layers.0." + std::string(norm) + "_layernorm.weight", {4});
    for (Array& other : others) arrays.push_back(std::move(other));
    files.put(folder + "/config.json",
              R"({"model_type":"llama","hidden_size":4,"num_hidden_layers":1,"num_attention_heads":2,)"
              R"("intermediate_size":4,"vocab_size":5)" +
                  more + "}");
    files.put(folder + "/model.safetensors", safetensors(arrays));
    return arrays;
}

const std::vector<std::int64_t> threeTokens{1, 2, 3};

}  // namespace

TEST_CASE("the reference pass gives the logits that PyTorch gave on the sample") {
    const NativeFiles files;
    const Model model = Model::load(files, sample + "source");
    const auto sequences = readTokens(files, sample + "source/tokens.npy");
    REQUIRE(sequences.size() == 16);
    const std::vector<float> expected =
        readFloats(files, sample + "source/logits_first_sequence.npy");  // [64, 512], written by PyTorch
    const std::vector<float> logits = model.logits(sequences[0]);
    REQUIRE(logits.size() == expected.size());
    float worst = 0;
    for (std::size_t k = 0; k < logits.size(); ++k) worst = std::max(worst, std::fabs(logits[k] - expected[k]));
    CHECK(worst < 1e-3F);
    CHECK(worst >= 0);
}

TEST_CASE("a model computes the same function as itself, and not the same as another checkpoint") {
    const NativeFiles files;
    const Model source = Model::load(files, sample + "source"), other = Model::load(files, sample + "target");
    auto sequences = readTokens(files, sample + "source/tokens.npy");
    sequences.resize(1);
    const FunctionDifference same = verify(source, source, sequences);
    CHECK(same.maxLogitDifference == 0);
    CHECK(same.maxKl == 0);
    CHECK(same.topAgreement == 1);
    const FunctionDifference different = verify(source, other, sequences);
    CHECK(different.maxLogitDifference > 0.1);
    CHECK(different.maxKl > 0);
}

TEST_CASE("a hook sees every place of the residual stream and may steer it") {
    const NativeFiles files;
    const Model model = Model::load(files, sample + "source");
    const std::vector<std::int64_t> tokens{1, 2, 3, 4, 5};
    std::vector<std::size_t> places;
    const std::vector<float> plain = model.logits(tokens, [&](std::size_t place, std::span<float> residual) {
        places.push_back(place);
        CHECK(residual.size() == tokens.size() * model.config().d);
    });
    CHECK(places == std::vector<std::size_t>{0, 1, 2, 3, 4});
    const std::vector<float> steered = model.logits(tokens, [](std::size_t place, std::span<float> residual) {
        if (place == 2)
            for (float& value : residual) value += 1.0F;
    });
    CHECK(plain != steered);
}

TEST_CASE("a token beyond the vocabulary is refused") {
    const NativeFiles files;
    const Model model = Model::load(files, sample + "source");
    CHECK(codeOf([&] { model.logits(std::vector<std::int64_t>{0, 512}); }) == ErrorCode::usage);
    CHECK(codeOf([&] { model.logits(std::vector<std::int64_t>{-1}); }) == ErrorCode::usage);
}

TEST_CASE("a config tells what sets a family apart") {
    const std::string common =
        R"("hidden_size":64,"num_hidden_layers":4,"num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":128,"vocab_size":100)";
    const ModelConfig gemma2 = parse(
        R"({"model_type":"gemma2","head_dim":16,"sliding_window":8,"attn_logit_softcapping":50.0,"final_logit_softcapping":30.0,)" +
        common + "}");
    CHECK(gemma2.gainOffset);
    CHECK(gemma2.embeddingScale == 8);
    CHECK(gemma2.window == std::vector<std::size_t>{8, 0, 8, 0});
    CHECK(gemma2.tiedEmbeddings);
    const ModelConfig olmo2 = parse(R"({"model_type":"olmo2",)" + common + "}");
    CHECK_FALSE(olmo2.preNorms);
    CHECK(olmo2.projectionNorms);
    const ModelConfig llama3 = parse(
        R"({"model_type":"llama","rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192},)" +
        common + "}");
    CHECK(llama3.rotary[0].inverseFrequency[0] == 1);
    CHECK(llama3.headDim == 16);
}

TEST_CASE("what the reference pass does not compute is refused by name") {
    const auto code = [](const std::string& json) { return codeOf([&] { parse(json); }); };
    const std::string common =
        R"("hidden_size":64,"num_hidden_layers":1,"num_attention_heads":4,"intermediate_size":128,"vocab_size":100})";
    CHECK(code(R"({"model_type":"gpt2",)" + common) == ErrorCode::unsupported);
    CHECK(code(R"({"model_type":"llama","quantization_config":{"bits":4},)" + common) == ErrorCode::unsupported);
    CHECK(code(R"({"model_type":"llama","rope_scaling":{"type":"yarn","factor":4.0},)" + common) ==
          ErrorCode::unsupported);
    CHECK(code(R"({"model_type":"llama","hidden_act":"relu",)" + common) == ErrorCode::unsupported);
    CHECK(code(R"({"model_type":"llama","hidden_size":"wide"})") == ErrorCode::malformed);
    CHECK(code(R"({"model_type":"llama","hidden_size":64})") == ErrorCode::malformed);
    CHECK(code("[1, 2]") == ErrorCode::malformed);
    CHECK_FALSE(code(R"({"model_type":"llama",)" + common));
}

TEST_CASE("tokens read one after the other, or in parts, give the logits of the whole sequence") {
    const NativeFiles files;
    const Model model = Model::load(files, sample + "source");
    const std::vector<std::int64_t> tokens = readTokens(files, sample + "source/tokens.npy")[0];
    const std::vector<float> whole = model.logits(tokens);
    Model::Past past;
    std::vector<float> parts;
    for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, 7}, {7, 1}, {8, 1}, {9, 55}}) {
        const std::vector<float> some = model.logits(std::span(tokens).subspan(first, count), past);
        parts.insert(parts.end(), some.begin(), some.end());
        CHECK(past.tokens == first + count);
    }
    CHECK(parts == whole);
}

TEST_CASE("embeddings that a configuration says are not tied need an unembedding") {
    MemoryFiles files;
    const auto logits = [&](const std::string& more, std::vector<Array> others = {}) {
        tinyLlama(files, "m", more, std::move(others));
        return Model::load(files, "m").logits(threeTokens);
    };
    const Array head = randomArray("lm_head.weight", {5, 4}, 77);
    const std::vector<float> tied = logits(R"(,"tie_word_embeddings":true)");
    CHECK(logits("") == tied);
    CHECK(logits(R"(,"tie_word_embeddings":null)") == tied);
    CHECK(logits(R"(,"tie_word_embeddings":true)", {head}) == tied);
    CHECK(logits(R"(,"tie_word_embeddings":false)", {head}) != tied);
    CHECK(logits("", {head}) != tied);
    CHECK_THROWS_WITH(logits(R"(,"tie_word_embeddings":false)"), ContainsSubstring("'lm_head.weight' is missing"));
    int places = 0;  // what it computes before, as evidence of it needs, is there
    Model::load(files, "m").read(threeTokens, [&](std::size_t, std::span<float>) { ++places; });
    CHECK(places > 1);
}

TEST_CASE("logits that are not finite agree with none, however far the others agree") {
    MemoryFiles files;
    std::vector<Array> arrays = tinyLlama(files, "m", "");
    const Model model = Model::load(files, "m");
    const auto broken = [&](float value) {
        std::vector<Array> changed = arrays;
        changed[0].values[1 * 4] = value;
        files.put("broken/config.json", files.text("m/config.json"));
        files.put("broken/model.safetensors", safetensors(changed));
        return Model::load(files, "broken");
    };
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        const Model other = broken(value);
        for (const auto& [a, b] : {std::pair(&model, &other), std::pair(&other, &model), std::pair(&other, &other)}) {
            const FunctionDifference difference = verify(*a, *b, {{2, 3}, {1, 2}});
            CHECK(difference.positions == 4);
            CHECK(std::isinf(difference.maxLogitDifference));
            CHECK((std::isinf(difference.maxKl) && difference.maxKl > 0));
            CHECK((std::isinf(difference.meanKl) && difference.meanKl > 0));
            CHECK(difference.topAgreement == 0);
            CHECK_THAT(verifyJson(difference, 1e-3),
                       ContainsSubstring(R"("same_function":false)") && ContainsSubstring(R"("max_kl":null)") &&
                           ContainsSubstring(R"("mean_kl":null)") && ContainsSubstring(R"("top_agreement":0.0)"));
        }
    }
    SteerOptions options;
    options.site = "resid.0";
    const Model other = broken(NAN);
    CHECK_THROWS_WITH(steer(other, model, std::vector<float>(4, 1.0F), Gauge::identity(4), threeTokens, options),
                      ContainsSubstring("the source computes logits that are not finite"));
    CHECK_THROWS_WITH(steer(model, other, std::vector<float>(4, 1.0F), Gauge::identity(4), threeTokens, options),
                      ContainsSubstring("the target computes logits that are not finite"));
}

TEST_CASE("logits whose differences are beyond single precision still have a divergence") {
    MemoryFiles files;
    Array head{"lm_head.weight", {5, 4}, std::vector<float>(20)};
    head.values[0] = 3e38F, head.values[4] = -3e38F;
    std::vector<Array> arrays = tinyLlama(files, "m", "", {head});
    for (Array& array : arrays)
        if (array.name.ends_with("norm.weight") || array.name.ends_with("embed_tokens.weight"))
            std::ranges::fill(array.values, 1.0F);
        else if (array.name != head.name)
            std::ranges::fill(array.values, 0.0F);
    files.put("m/model.safetensors", safetensors(arrays));
    const Model model = Model::load(files, "m");
    const FunctionDifference difference = verify(model, model, {threeTokens});
    CHECK(difference.maxKl == 0);
    CHECK(difference.meanKl == 0);
    CHECK(difference.topAgreement == 1);
}

// Cases that users met: each is a kind of file, and what is right for it.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "recipes/recipe_table.hpp"
#include "refusal.hpp"
#include "regauge/evidence.hpp"
#include "regauge/model.hpp"
#include "regauge/trace.hpp"
#include "regauge/transport.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t d = 8;

const std::string llamaConfig = R"({"model_type":"llama","hidden_size":8,"num_hidden_layers":1})";

// One layer, with a part of the names that a wrapper may have put in, and other tensors behind.
std::vector<Array> llama(const std::string& prefix = "model.", const std::string& inside = "",
                         std::vector<Array> more = {}) {
    const std::string layer = prefix + "layers.0." + inside;
    std::vector<Array> arrays{randomArray(prefix + "embed_tokens.weight", {11, d}, 1),
                              randomArray(prefix + "norm.weight", {d}, 2)};
    for (const char* reader :
         {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj"})
        arrays.push_back(randomArray(layer + reader + ".weight", {6, d}, 3));
    for (const char* writer : {"self_attn.o_proj", "mlp.down_proj"})
        arrays.push_back(randomArray(layer + writer + ".weight", {d, 6}, 4));
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
        arrays.push_back(randomArray(layer + norm + ".weight", {d}, 5));
    for (Array& array : more) arrays.push_back(std::move(array));
    return arrays;
}

const Gauge gauge = randomGauge(d, 7);

Array moved(MemoryFiles& files, const std::string& object, const std::string& file, const std::string& tensor) {
    transport(files, object, alignmentOf(gauge), "out", TransportOptions{{}, false, true});
    return arrayIn(files, file, tensor);
}

std::string refusal(MemoryFiles& files, const std::string& object) {
    const auto found = refusalOf([&] {
        transport(files, object, alignmentOf(gauge), "out", TransportOptions{{}, false, true});
    });
    return found ? found->message : "";
}

}  // namespace

TEST_CASE("field: a JSON list under a layer's number is a vector where it cannot be channel numbers") {
    MemoryFiles files;
    files.put("s.svec",
              R"({"model_type":"llama","directions":{"0":[0.5,-1,2,3,0,0,0,7]},"explained_variances":{"0":0.4}})");
    CHECK(planTransport(files, "s.svec").kind == "vectors");
    transport(files, "s.svec", alignmentOf(Gauge({1, 0, 2, 3, 4, 5, 6, 7}, {1, -1, 1, 1, 1, 1, 1, 1})), "out");
    CHECK(files.text("out") ==
          R"({"model_type":"llama","directions":{"0":[-1,-0.5,2,3,0,0,0,7]},"explained_variances":{"0":0.4}})");
    files.put("list.json", R"({"12":[3,5]})");
    CHECK(planTransport(files, "list.json").kind == "neurons");
    files.put("either.json", R"({"12":[0,1,2,3,4,5,6,7]})");
    CHECK_THAT(refusal(files, "either.json"), ContainsSubstring("--kind"));
}

TEST_CASE("field: a byte order mark and Python's Infinity are no obstacle in a configuration") {
    MemoryFiles files;
    files.put("m/model.safetensors", safetensors(llama()));
    files.put("m/config.json",
              "\xEF\xBB\xBF{\"model_type\":\"llama\",\"hidden_size\":8,\"cap\":-Infinity,\"other\":NaN}");
    CHECK(planTransport(files, "m").kind == "llama");
    CHECK(moved(files, "m", "out/model.safetensors", "model.norm.weight").values ==
          movedAxis(llama()[1], gauge, 0, false).values);
}

TEST_CASE(
    "field: adapters whose loading decomposes or quantises the base again are refused by the name of the setting") {
    for (const char* setting : {R"("init_lora_weights":"olora")", R"("init_lora_weights":"loftq")",
                                R"("use_bdlora":{"nblocks":2})", R"("use_qalora":true)"}) {
        MemoryFiles files;
        files.put(
            "a/adapter_model.safetensors",
            safetensors({randomArray("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", {2, d}, 1)}));
        files.put("a/adapter_config.json", std::string(R"({"peft_type":"LORA","r":2,)") + setting + "}");
        CHECK_THAT(refusal(files, "a"),
                   ContainsSubstring("adapter_config.json has") && ContainsSubstring("merge_and_unload"));
    }
}

TEST_CASE("field: names move alike whatever wrappers put in, and wherever") {
    for (const auto& [prefix, inside] :
         std::vector<std::pair<std::string, std::string>>{{"_orig_mod.model.", ""},
                                                          {"module.model.", "_fsdp_wrapped_module."},
                                                          {"model.", "_checkpoint_wrapped_module."},
                                                          {"pretrained_model.model.", ""},
                                                          {"model.", "_orig_mod."}}) {
        MemoryFiles files;
        files.put("m/model.safetensors", safetensors(llama(prefix, inside)));
        files.put("m/config.json", llamaConfig);
        const std::string name = prefix + "layers.0." + inside + "self_attn.o_proj.weight";
        CHECK(moved(files, "m", "out/model.safetensors", name).values ==
              movedAxis(arrayIn(files, "m/model.safetensors", name), gauge, 0).values);
        CHECK(openEvidence(files, "m").gains.size() == 3);
    }
    CHECK(unwrapped("base_model.model.layers.0.q_proj.lora_A.default.weight") ==
          "base_model.model.layers.0.q_proj.lora_A.weight");
    CHECK(unwrapped("score.modules_to_save.default.weight") == "score.weight");
    CHECK(unwrapped("q_proj.lora_magnitude_vector.default.weight") == "q_proj.lora_magnitude_vector");
}

TEST_CASE("field: PEFT's raw state of a whole model moves, the adapter in it as an adapter") {
    MemoryFiles files;
    auto arrays = llama("base_model.model.model.");
    for (Array& array : arrays)
        if (array.name.ends_with("q_proj.weight"))
            array.name = "base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight";
    const Array a = randomArray("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight", {2, d}, 9);
    arrays.push_back(a);
    arrays.push_back(randomArray("base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight", {6, 2}, 10));
    files.put("m/model.safetensors", safetensors(arrays));
    files.put("m/config.json", llamaConfig);
    CHECK(moved(files, "m", "out/model.safetensors", a.name).values == movedAxis(a, gauge, 1).values);
}

TEST_CASE("field: score and value heads read the residual stream, and a copy is not offered where an axis is as long") {
    for (const char* head : {"score.weight", "v_head.summary.weight", "qa_outputs.weight"}) {
        MemoryFiles files;
        const Array array = randomArray(head, {2, d}, 9);
        files.put("m/model.safetensors", safetensors(llama("model.", "", {array})));
        files.put("m/config.json", llamaConfig);
        CHECK(moved(files, "m", "out/model.safetensors", head).values == movedAxis(array, gauge, 1).values);
    }
    MemoryFiles files;
    files.put("m/model.safetensors", safetensors(llama("model.", "", {randomArray("strange_head.weight", {2, d}, 9)})));
    files.put("m/config.json", llamaConfig);
    CHECK_THAT(refusal(files, "m"), ContainsSubstring("strange_head.weight") && !ContainsSubstring("--unknown copy"));
}

TEST_CASE("field: the file that transformers loads is the model, and shards without an index are one") {
    MemoryFiles files;
    files.put("m/config.json", llamaConfig);
    files.put("m/model.safetensors", safetensors(llama()));
    files.put("m/model.safetensors.index.json",
              R"({"weight_map":{"model.norm.weight":"model-00001-of-00001.safetensors"}})");
    CHECK(moved(files, "m", "out/model.safetensors", "model.norm.weight").values ==
          movedAxis(llama()[1], gauge, 0, false).values);
    CHECK_FALSE(files.exists("out/model.safetensors.index.json"));
    CHECK(openEvidence(files, "m").gains.size() == 3);

    MemoryFiles shards;
    shards.put("m/config.json", llamaConfig);
    const std::vector<Array> all = llama();
    shards.put("m/model-00001-of-00002.safetensors", safetensors({all.begin(), all.begin() + 2}));
    CHECK_THAT(refusal(shards, "m"), ContainsSubstring("model-00002-of-00002.safetensors"));
    shards.put("m/model-00002-of-00002.safetensors", safetensors({all.begin() + 2, all.end()}));
    CHECK(moved(shards, "m", "out/model-00001-of-00002.safetensors", "model.norm.weight").values ==
          movedAxis(all[1], gauge, 0, false).values);
}

TEST_CASE("field: the index that a model was opened by goes with it, whatever its shards are called") {
    const std::vector<Array> all = llama();
    for (const std::string shard : {"model-00001-of-00001.safetensors", "part.safetensors"}) {
        INFO(shard);
        MemoryFiles files;
        files.put("m/config.json", llamaConfig);
        files.put("m/" + shard, safetensors(all));
        std::string listed;
        for (const Array& array : all) listed += (listed.empty() ? "\"" : ",\"") + array.name + "\":\"" + shard + "\"";
        const std::string index = "{\"metadata\":{},\"weight_map\":{" + listed + "}}";
        files.put("m/model.safetensors.index.json", index);
        CHECK(moved(files, "m", "out/" + shard, "model.norm.weight").values ==
              movedAxis(all[1], gauge, 0, false).values);
        CHECK(files.text("out/model.safetensors.index.json") == index);
    }
}

TEST_CASE("field: numbered shards are one set, whole and without a tensor in two of them, index or not") {
    const std::vector<Array> all = llama();
    const std::string first = safetensors({all.begin(), all.begin() + 4}),
                      second = safetensors({all.begin() + 4, all.end()});
    struct Case {
        std::vector<std::pair<std::string, std::string>> shards;
        std::string says;
    };
    std::vector<Array> more{all.begin() + 4, all.end()};
    more.push_back(randomArray(all[0].name, all[0].shape, 99));
    const std::string one = "model-00001-of-00002.safetensors", two = "model-00002-of-00002.safetensors";
    for (const auto& [parts, says] : {Case{{{one, first}, {two, safetensors(more)}}, "the tensor is also in " + one},
                                      Case{{{one, first}, {"model-00003-of-00003.safetensors", second}}, two},
                                      Case{{{one, first}, {"model-00001-of-00003.safetensors", second}}, two},
                                      Case{{{two, first}, {"model-00002-of-00003.safetensors", second}}, one},
                                      Case{{{"model-00000-of-00002.safetensors", first}, {one, second}}, "numbered"},
                                      Case{{{one, first}, {two, second}, {"model-00003-of-00003.safetensors", second}},
                                           "is numbered as part of another set than " + one}}) {
        MemoryFiles files;
        files.put("m/config.json",
                  R"({"model_type":"llama","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,)"
                  R"("intermediate_size":6,"vocab_size":11,"head_dim":3,"tie_word_embeddings":true})");
        for (const auto& [name, bytes] : parts) files.put("m/" + name, bytes);
        CHECK_THAT(refusal(files, "m"), ContainsSubstring(says));
        CHECK(refusalOf([&] { openEvidence(files, "m"); }));
        CHECK(refusalOf([&] { Model::load(files, "m"); }));
        if (parts.size() == 2 && parts[1].first == two) {
            CHECK_THROWS_WITH(openEvidence(files, "m"), ContainsSubstring(says));
            CHECK_THROWS_WITH(Model::load(files, "m"), ContainsSubstring(says));
            files.put("m/" + two, second);
            CHECK(refusal(files, "m").empty());
            CHECK_NOTHROW(openEvidence(files, "m"));
            CHECK_NOTHROW(Model::load(files, "m"));
        }
    }
}

TEST_CASE("field: a model computes with the files that transport moves") {
    MemoryFiles files;
    files.put("m/config.json", R"({"model_type":"llama","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,)"
                               R"("intermediate_size":6,"vocab_size":11,"head_dim":3,"tie_word_embeddings":true})");
    files.put("m/model.safetensors", safetensors(llama()));
    const std::vector<float> logits = Model::load(files, "m").logits(std::vector<std::int64_t>{1, 2});
    std::vector<Array> older = llama();
    for (Array& array : older)
        for (float& value : array.values) value *= 2;
    files.put("m/model-00001-of-00001.safetensors", safetensors(older));
    files.put("m/older.safetensors", safetensors(older));
    CHECK(Model::load(files, "m").logits(std::vector<std::int64_t>{1, 2}) == logits);
}

TEST_CASE("field: a family that has a table is never said to have none") {
    MemoryFiles files;
    files.put("m/config.json", llamaConfig);
    files.put("m/model.safetensors", safetensors({randomArray("somewhere.layers.0.else.weight", {2, d}, 1)}));
    CHECK_THAT(refusal(files, "m"), ContainsSubstring("not named as") && !ContainsSubstring("no table"));
    files.put("m/config.json",
              R"({"model_type":"llama","hidden_size":8,"quantization_config":{"quant_method":"gptq","bits":4}})");
    CHECK_THAT(refusal(files, "m"), ContainsSubstring("quantised (gptq)"));
    MemoryFiles distributed;
    distributed.put("c/__0_0.distcp", "PK\x03\x04....");
    CHECK_THAT(refusal(distributed, "c"), ContainsSubstring("dcp_to_torch"));
    CHECK_THAT(refusal(distributed, "c/__0_0.distcp"), ContainsSubstring("dcp_to_torch"));
}

TEST_CASE("field: FP8 scales move with their outputs where there is one for a row or a tensor") {
    MemoryFiles files;
    const std::string quantised =
        R"({"model_type":"llama","hidden_size":8,"quantization_config":{"config_groups":{"group_0":{"weights":{"strategy":"STRATEGY","type":"float"}}}}})";
    const auto config = [&](const char* strategy) {
        return std::string(quantised).replace(quantised.find("STRATEGY"), 8, strategy);
    };
    const Array scale = randomArray("model.layers.0.self_attn.o_proj.weight_scale", {d, 1}, 9);
    files.put("m/model.safetensors", safetensors(llama("model.", "", {scale})));
    files.put("m/config.json", config("channel"));
    CHECK(moved(files, "m", "out/model.safetensors", scale.name).values == movedAxis(scale, gauge, 0, false).values);
    files.put("m/config.json", config("block"));
    files.put("m/model.safetensors", safetensors(llama("model.", "", {randomArray(scale.name, {2, 2}, 9)})));
    CHECK_THAT(refusal(files, "m"), ContainsSubstring("blocks") && ContainsSubstring("--dequantize bf16"));
}

TEST_CASE("field: LoRA on a vision tower is copied, and a place in the language model is known under its prefix") {
    MemoryFiles files;
    const Array vision = randomArray(
        "base_model.model.model.vision_tower.vision_model.encoder.layers.0.self_attn.out_proj.lora_A.weight", {2, d},
        1);
    const Array language =
        randomArray("base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight", {2, d}, 2);
    files.put("a/adapter_model.safetensors", safetensors({vision, language}));
    files.put("a/adapter_config.json", R"({"peft_type":"LORA","r":2})");
    CHECK(moved(files, "a", "out/adapter_model.safetensors", vision.name).values == vision.values);
    CHECK(arrayIn(files, "out/adapter_model.safetensors", language.name).values ==
          movedAxis(language, gauge, 1).values);
}

TEST_CASE("field: a trace in the order of a shell's glob is refused with the order of the steps") {
    MemoryFiles files;
    for (const char* step : {"100", "500", "1000"}) {
        files.put(std::string("c/checkpoint-") + step + "/model.safetensors", safetensors(llama()));
        files.put(std::string("c/checkpoint-") + step + "/config.json", llamaConfig);
    }
    const Refusal refused = requireRefusal([&] {
        trace(files, {"c/checkpoint-100", "c/checkpoint-1000", "c/checkpoint-500"}, {});
    });
    CHECK(refused.code == ErrorCode::usage);
    CHECK_THAT(refused.message, ContainsSubstring("c/checkpoint-100 c/checkpoint-500 c/checkpoint-1000"));
    for (const char* step : {"500", "1000"})  // back along one run and forth along another
        for (const char* name : {"/model.safetensors", "/config.json"})
            files.put(std::string("b/checkpoint-") + step + name,
                      files.text(std::string("c/checkpoint-") + step + name));
    CHECK_NOTHROW(trace(files, {"c/checkpoint-1000", "c/checkpoint-500", "b/checkpoint-500", "b/checkpoint-1000"}, {}));
    files.put("c/checkpoint-1000/trainer_state.json", R"({"global_step": 200})");  // what it says, not its name
    CHECK_NOTHROW(trace(files, {"c/checkpoint-100", "c/checkpoint-1000", "c/checkpoint-500"}, {}));
}

// What the fuzzers begin with: a few small files of every kind, from the fixtures and from what the tests write.
#pragma once

#include <limits>
#include <sstream>

#include "changed_json.hpp"
#include "command_run.hpp"
#include "header_seeds.hpp"
#include "mutations.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/io/gauge_json.hpp"
#include "tensor_seeds.hpp"

namespace regauge::fuzz {

struct Seed {
    std::string target, name, text;
};

// The statistics of a few rows: with Gram matrices and without, and for maps of one width and of two.
inline std::string statisticsOf(const std::vector<std::string>& flags, std::size_t rows = 24, std::size_t wide = 4) {
    test::MemoryFiles files;
    for (unsigned side = 0; side < 2; ++side)
        files.put(std::string(1, static_cast<char>('a' + side)),
                  test::safetensors({test::randomArray("activations/x", {rows, side == 0 ? 4 : wide}, 7),
                                     test::randomArray("gains/final", {side == 0 ? 4 : wide}, side)}));
    std::vector<std::string> words{"stats", "a", "b", "-o", "s"};
    words.insert(words.end(), flags.begin(), flags.end());
    test::run(files, words);
    return files.text("s");
}

// One layer of everything that a hidden gauge may hold.
inline HiddenGauge fullHiddenGauge() {
    const HiddenShape shape{.layers = 1, .neurons = 8, .heads = 2, .kvHeads = 1, .headDim = 4, .pairs = 1};
    std::vector<HiddenLayer> layers = HiddenGauge::identity(shape).layers();
    HiddenLayer& layer = layers.front();
    layer.neuronScale.assign(shape.neurons, 0.5f);
    layer.turn = {0.6f, 0.8f};
    layer.freeKeys = {2, 0, 0, 0.5f};
    layer.value = {1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0.25f, 0, 0, 1};
    const std::vector<double> ofNeurons(shape.neurons, 0.75), ofHeads(shape.heads, 0.5);
    layer.neuronScores = {ofNeurons, ofNeurons, ofNeurons};
    layer.headScores = {ofHeads, ofHeads, ofHeads};
    return HiddenGauge(shape, std::move(layers));
}

inline void addTensorSeeds(std::vector<Seed>& seeds) {
    for (const test::Seed& seed : test::mutationSeeds()) {
        std::string target = "csv";
        try {
            target = name(test::openText(seed.text).format);
        } catch (const Error&) {
            if (!seed.name.ends_with(".csv")) target = "lists";
        }
        seeds.push_back({target, seed.name, seed.text});
    }
    for (const char* name : {"steering_bare.pt", "steering_by_layer.pt", "with_nan.npy", "i8.npy", "f16.npy", "f64.npy",
                             "big_endian.npy", "fortran_order.npy", "three_d.npy", "object.npy", "legacy_format.pt"}) {
        const std::string text = test::fixture(name);
        seeds.push_back({std::string(name).ends_with("npy") ? "npy" : "torch", name, text});
    }
    const auto add = [&](const char* target, const NamedSeeds& all) {
        for (const auto& [name, text] : all) seeds.push_back({target, name, text});
    };
    add("safetensors", evidenceSeeds()), add("safetensors", safetensorsHeaderSeeds());
    add("npy", npyHeaderSeeds()), add("npz", npzSeeds()), add("torch", torchSeeds());
    add("gguf", ggufSeeds()), add("gguf", ggufHeaderSeeds());
}

inline void addGaugeSeeds(std::vector<Seed>& seeds) {
    const std::string full = toJson(GaugeFile{test::alignmentOf(test::randomGauge(16, 3)), fullHiddenGauge()});
    for (const auto& [name, text] : changedOneByOne(
             full, {{"/format", "\"other\""},
                    {"/version", "2"},
                    {"/version", "0"},
                    {"/version", "\"1\""},
                    {"/version", nullptr},
                    {"/d", "-1"},
                    {"/group", "\"other\""},
                    {"/perm/3", "16"},
                    {"/perm", "[0]"},
                    {"/sign/2", "2"},
                    {"/score", "[1]"},
                    {"/margin", "[1e13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]"},
                    {"/confidence", "3"},
                    {"/verdict", "\"other\""},
                    {"/verdict", "\"partial\""},
                    {"/summary", "3"},
                    {"/summary/estimate", "2"},
                    {"/source/name", "3"},
                    {"/method/sites", "{}"},
                    {"/method/sites", R"([{"name": "x", "statistic": "correlation", "rows": 3, "weight": 0.5}])"},
                    {"/method/sites", R"([{"name": 3}])"},
                    {"/method/lambda", "\"x\""},
                    {"/fingerprint", "\"0\""},
                    {"/hidden", "3"},
                    {"/hidden/version", "99"},
                    {"/hidden/layers", "[]"},
                    {"/hidden/layers/0", "7"},
                    {"/hidden/head_dim", "0.5"},
                    {"/hidden/rope_pairs", "3"},
                    {"/hidden/fingerprint", "\"0\""},
                    {"/hidden/layers/0/neurons", nullptr},
                    {"/hidden/layers/0/neurons/1", "8"},
                    {"/hidden/layers/0/neuron_sign", nullptr},
                    {"/hidden/layers/0/neuron_sign/0", "0"},
                    {"/hidden/layers/0/neuron_scale", "[0]"},
                    {"/hidden/layers/0/kv_heads/0", "0.5"},
                    {"/hidden/layers/0/heads", "[0, 0]"},
                    {"/hidden/layers/0/turn", "3"},
                    {"/hidden/layers/0/turn/0", "1e300"},
                    {"/hidden/layers/0/free_keys", "[0]"},
                    {"/hidden/layers/0/value", "[0]"},
                    {"/hidden/layers/0/score", "1"},
                    {"/hidden/layers/0/score/heads", "[1]"}}))
        seeds.push_back({"gauge", name, text});
}

inline void addMapSeeds(std::vector<Seed>& seeds) {
    seeds.push_back({"map", "oracle", test::fixture("maps/oracle.safetensors")});
    seeds.push_back({"map", "one", mapFile({someMap(3, 5, "resid.1", "resid.2")})});
    seeds.push_back({"map", "two", mapFile({someMap(3, 5, "resid.1", "resid.2"), someMap(3, 5, "resid.2", "x")})});
    const auto changed = [&](const char* name, auto&& change) {
        Map map = someMap(3, 5, "resid.1", "resid.2");
        change(map);
        seeds.push_back({"map", name, mapFile({map})});
    };
    changed("not-finite", [](Map& map) { map.forward[0] = std::numeric_limits<float>::infinity(); });
    changed("no-backward", [](Map& map) { map.backward.clear(); });
    // Metadata are texts of the header's own length: words of the same length keep the file whole.
    const std::string one = seeds[seeds.size() - 4].text;
    for (const auto& [from, to] :
         std::initializer_list<std::pair<std::string, std::string>>{{"\"affine\"", "\"afffne\""},
                                                                    {"\"rows\":\"128\"", "\"rows\":\"1.5\""},
                                                                    {"\"r2\":\"0.5\"", "\"r2\":\"0.x\""},
                                                                    {"\"version\":\"1\"", "\"version\":\"2\""},
                                                                    {"[5,3]", "[3,5]"},
                                                                    {"\"backward_bias\"", "\"backward_bbas\""},
                                                                    {"\"fingerprint\":\"", "\"fingerprint\":\"0"}}) {
        std::string text = one;
        const std::size_t at = text.find(from);
        REQUIRE(at != std::string::npos);
        seeds.push_back({"map", "with-" + std::to_string(seeds.size()), text.replace(at, to.size(), to)});
    }
}

inline void addConfigSeeds(std::vector<Seed>& seeds) {
    const std::string llama =
        R"({"model_type":"llama","hidden_size":16,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":8,)"
        R"("num_hidden_layers":1,"intermediate_size":8,"vocab_size":5,"tie_word_embeddings":true})";
    for (const auto& [name, text] : changedOneByOne(
             llama, {{"/model_type", "\"gemma2\""},
                     {"/model_type", "\"qwen2\""},
                     {"/model_type", "\"phi3\""},
                     {"/model_type", "\"other\""},
                     {"/hidden_size", "\"16\""},
                     {"/hidden_size", "-1"},
                     {"/hidden_size", nullptr},
                     {"/num_attention_heads", "0"},
                     {"/head_dim", "1000000"},
                     {"/hidden_act", "\"gelu\""},
                     {"/hidden_act", "\"gelu_new\""},
                     {"/hidden_act", "\"other\""},
                     {"/partial_rotary_factor", "0.5"},
                     {"/partial_rotary_factor", "2"},
                     {"/rope_scaling", R"({"type": "linear", "factor": 2})"},
                     {"/rope_scaling", R"({"type": "other"})"},
                     {"/rope_parameters", R"({"full_attention": {"rope_theta": 1e6, "rope_type": "default"}})"},
                     {"/sliding_window", "2"},
                     {"/max_window_layers", "3"},
                     {"/quantization_config", R"({"quant_method": "fp8"})"},
                     {"/quantization_config", R"({"quant_method": "awq"})"},
                     {"/text_config", R"({"model_type": "gemma3_text", "hidden_size": 16})"}}))
        seeds.push_back({"config", name, text});
    seeds.push_back(
        {"config", "pretty", "{\n  \"d_in\": 16,\n  \"x\": {\"y\": [1, {\"z\": \"}\"}], \"d_model\": 16}\n}\n"});
    for (const char* text :
         {"{ }", "{}", "{\"made\": {}}", "{\"made\":{ },\"a\":1}", "{\"a\":[{}], \"text_config\" : {\"b\":2 }}",
          "\xEF\xBB\xBF{\n\t\"text_config\": {\n\t\t\"b\": \"}\\\"\"\n\t}\n}"})
        seeds.push_back({"config", "edited-" + std::to_string(seeds.size()), text});
}

inline void addTokenSeeds(std::vector<Seed>& seeds) {
    for (const Dtype dtype : {Dtype::U8, Dtype::I16, Dtype::I32, Dtype::U64, Dtype::F16})
        seeds.push_back({"tokens", "of-" + std::string(name(dtype)), tensorFile({{"input_ids", dtype, {2, 3}}})});
    seeds.push_back({"tokens", "big-endian", npyOf(">i4", 4, {2, 3}, false)});
    seeds.push_back({"tokens", "fortran", npyOf("<i4", 4, {2, 3}, true)});
    seeds.push_back({"tokens", "none", tensorFile({{"token_ids", Dtype::I64, {2, 0}}})});
    seeds.push_back({"tokens", "several", tensorFile({{"a", Dtype::I64, {2}}, {"b", Dtype::I64, {2}}})});
    for (const char* text : {"[]", "[[]]", "[1, 0.5]", "[18446744073709551615]", "[\"x\"]"})
        seeds.push_back({"tokens", "json-" + std::to_string(seeds.size()), text});
}

inline void addJsonSeeds(std::vector<Seed>& seeds) {
    const auto add = [&](const char* target, const char* name, std::string text) {
        seeds.push_back({target, name, std::move(text)});
    };
    add("gauge", "small", toJson(test::alignmentOf(test::randomGauge(5, 3))));
    add("gauge", "by-hand",
        R"({"format":"regauge-gauge","version":1,"d":2,"group":"signed","perm":[1,0],"sign":[1,-1]})");
    add("gauge", "full", test::fixture("hostile/escape-gauge.json"));
    add("gauge", "hidden",
        toJson(GaugeFile{
            test::alignmentOf(test::randomGauge(16, 3)),
            HiddenGauge::identity({.layers = 1, .neurons = 8, .heads = 2, .kvHeads = 1, .headDim = 8, .pairs = 4})}));
    add("gauge", "hidden-full", toJson(GaugeFile{test::alignmentOf(test::randomGauge(16, 3)), fullHiddenGauge()}));
    add("config", "llama",
        R"({"model_type":"llama","hidden_size":16,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":8,)"
        R"("num_hidden_layers":1,"intermediate_size":8,"vocab_size":5,"rms_norm_eps":1e-5,"hidden_act":"silu",)"
        R"("rope_theta":10000.0,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,)"
        R"("high_freq_factor":4.0,"original_max_position_embeddings":8192},"tie_word_embeddings":true})");
    add("config", "gemma3",
        R"({"model_type":"gemma3_text","hidden_size":16,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":8,)"
        R"("num_hidden_layers":1,"intermediate_size":8,"vocab_size":5,"rms_norm_eps":1e-6,"sliding_window":4,)"
        R"("layer_types":["sliding_attention"],"rope_local_base_freq":10000.0,"query_pre_attn_scalar":8})");
    add("config", "lora",
        R"({"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["q_proj"],"fan_in_fan_out":false})");
    add("config", "sae",
        R"({"architecture":"jumprelu","d_in":16,"d_sae":3,"hook_name":"blocks.1.hook_resid_pre",)"
        R"("normalize_activations":"none","apply_b_dec_to_input":false})");
    add("index", "two",
        R"({"metadata":{"total_size":1000},"weight_map":{"model.embed_tokens.weight":"model-00001-of-00002.safetensors",)"
        R"("lm_head.weight":"model-00002-of-00002.safetensors"}})");
    for (const char* text :
         {R"({"_data_files": [{"filename": "data-00000-of-00002.arrow"}, {"filename": "data-00001-of-00002.arrow"}]})",
          R"({"_data_files": [{"filename": "data-9.arrow"}]})", R"({"_data_files": [{"filename": "../x.arrow"}]})",
          R"({"_data_files": ["x.arrow", "x.arrow"]})", R"({"_data_files": [3]})", R"({"splits": ["train"]})",
          R"({"splits": ["train", "test"]})", R"([{"name": "train"}])"})
        seeds.push_back({"index", "table-" + std::to_string(seeds.size()), text});
    add("tokens", "list", "[1, 2, 3]");
    add("tokens", "lists", "[[1, 2], [3, 4, 5]]");
    add("tokens", "npy", test::fixture("i8.npy"));
    for (const char* kind : {"byte_level", "sentence_piece", "unigram", "word_piece"})
        add("tokens", kind, test::fixture("tokenizers/" + std::string(kind) + ".json"));
    add("tokens", "gguf", test::fixture("hostile/tokens-oob.gguf"));
    add("lists", "sets", R"({"top_positive":[1,2],"top_negative":[3],"d_model":16,"layer":2})");
    add("lists", "rows", R"([{"channel":3,"value":-0.5,"rank":1},{"channel":5,"value":2e-3,"rank":2}])");
    add("lists", "bare", "[1, 5, 9]");
    add("csv", "quoted",
        "\xEF\xBB\xBF"
        "channel;value\r\n1;-0.5\r\n\"15\";2\r\n");
    add("csv", "tabs", "idx\tscore\n3\t0.25\n7\t-1\n");
    add("statistics", "with-gram", statisticsOf({}));
    add("statistics", "without", statisticsOf({"--group", "permutation"}));
    add("statistics", "maps", statisticsOf({"--map"}, 70));
    add("statistics", "wider", statisticsOf({"--map"}, 70, 5));
    add("statistics", "fit", statisticsOf({"--map", "--fit"}));
}

inline void addCommandLineSeeds(std::vector<Seed>& seeds) {
    for (const char* line : {"transport v --gauge g -o out",
                             "transport v --gauge g -o v --force",
                             "transport a --gauge g -o out --json",
                             "inspect a --json",
                             "inspect v",
                             "align rows-a rows-b -o out --group signed --statistic correlation",
                             "align rows-a rows-b --sites x --rows 30 --skip-first 2 --threads 2",
                             "stats rows-a rows-b --shard 1/2 -o s",
                             "stats rows-a rows-b --first-row 18446744073709551615 -o s",
                             "show g",
                             "compose g g -o gg",
                             "invert g -o back",
                             "compare g g",
                             "map rows-a rows-b -o m",
                             "merge a b --gauge g --weight 0.25 -o merged --no-sync",
                             "verify a b --tokens t.json",
                             "activations a --tokens t.json -o e",
                             "audit list.json --k 2 --gauges 9 --d 16",
                             "ceiling --d 8 --rows 32 --steps 2",
                             "steer a b --vector v --site resid.1 --gauge g --tokens t.json",
                             "trace rows-a rows-b -o out",
                             "completion bash",
                             "transport --help",
                             "--version",
                             "audit list.json --d 18446744073709551615",
                             "transport v --map g --site a=b -o out --quiet"}) {
        std::string text, word;
        for (std::istringstream words(line); words >> word;) text += (text.empty() ? "" : "\n") + word;
        seeds.push_back({"commandLine", "line-" + std::to_string(seeds.size()), text});
    }
}

inline std::vector<Seed> fuzzSeeds() {
    std::vector<Seed> seeds;
    addTensorSeeds(seeds);
    addJsonSeeds(seeds);
    addGaugeSeeds(seeds);
    addMapSeeds(seeds);
    addConfigSeeds(seeds);
    addTokenSeeds(seeds);
    addCommandLineSeeds(seeds);
    return seeds;
}

}  // namespace regauge::fuzz

// What the fuzzers begin with: a few small files of every kind, from the fixtures and from what the tests write.
#pragma once

#include <sstream>

#include "command_run.hpp"
#include "mutations.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/io/gauge_json.hpp"

namespace regauge::fuzz {

struct Seed {
    std::string target, name, text;
};

// The statistics of a few rows, with Gram matrices and without.
inline std::string statisticsOf(const std::string& group) {
    test::MemoryFiles files;
    for (unsigned side = 0; side < 2; ++side)
        files.put(std::string(1, static_cast<char>('a' + side)),
                  test::safetensors(
                      {test::randomArray("activations/x", {24, 4}, 7), test::randomArray("gains/final", {4}, side)}));
    test::run(files, {"stats", "a", "b", "--group", group, "-o", "s"});
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
    for (const char* name :
         {"beside_numpy.pt", "steering_bare.pt", "steering_by_layer.pt", "with_nan.npy", "i8.npy", "f16.npy", "f64.npy",
          "big_endian.npy", "fortran_order.npy", "three_d.npy", "object.npy", "legacy_format.pt"}) {
        const std::string text = test::fixture(name);
        seeds.push_back({std::string(name).ends_with("npy") ? "npy" : "torch", name, text});
    }
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
    add("map", "oracle", test::fixture("maps/oracle.safetensors"));
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
    add("tokens", "list", "[1, 2, 3]");
    add("tokens", "lists", "[[1, 2], [3, 4, 5]]");
    add("tokens", "npy", test::fixture("i8.npy"));
    add("tokens", "gguf", test::fixture("hostile/tokens-oob.gguf"));
    add("lists", "sets", R"({"top_positive":[1,2],"top_negative":[3],"d_model":16,"layer":2})");
    add("lists", "rows", R"([{"channel":3,"value":-0.5,"rank":1},{"channel":5,"value":2e-3,"rank":2}])");
    add("lists", "bare", "[1, 5, 9]");
    add("csv", "quoted",
        "\xEF\xBB\xBF"
        "channel;value\r\n1;-0.5\r\n\"15\";2\r\n");
    add("csv", "tabs", "idx\tscore\n3\t0.25\n7\t-1\n");
    add("statistics", "with-gram", statisticsOf("signed"));
    add("statistics", "without", statisticsOf("permutation"));
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
    addCommandLineSeeds(seeds);
    return seeds;
}

}  // namespace regauge::fuzz

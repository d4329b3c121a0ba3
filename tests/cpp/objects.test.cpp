// Every kind of object that people have, by the names and axes of its publisher's own files: moved as the definition
// says, and back byte for byte.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "refusal.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "regauge/transport.hpp"
#include "written_files.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t d = 8, F = 20;
enum class Container { safetensors, torch, npz, gguf };

// A tensor and what should happen to each axis: 'o' odd, 'e' even, '.' nothing.
struct Expected {
    const char* name;
    Shape shape;
    const char* actions;
};

struct Object {
    const char* title;
    const char* kind;
    Container container;
    const char* path;  // of the tensor file; in a folder the folder is moved
    std::vector<Expected> tensors;
    Texts companions = {}, texts = {};
    bool asked = false;  // --kind is needed: names and lengths alone leave it open
};

const std::vector<Object>& objects() {
    static const std::string base = "base_model.model.model.layers.0.";
    static const std::vector<Object> all{
        {"Llama Scope",
         "llama-scope",
         Container::safetensors,
         "s/checkpoints/final.safetensors",
         {{"encoder.weight", {F, d}, ".o"},
          {"encoder.bias", {F}, "."},
          {"decoder.weight", {d, F}, "o."},
          {"decoder.bias", {d}, "o"}},
         {{"s/hyperparams.json",
           R"({"d_model": 8, "d_sae": 20, "hook_point_in": "blocks.8.hook_resid_post", "hook_point_out": "blocks.8.hook_resid_post", "jump_relu_threshold": 0.5})"}}},
        {"Llama Scope R1",
         "llama-scope",
         Container::safetensors,
         "s/sae_weights.safetensors",
         {{"encoder.weight", {F, d}, ".o"},
          {"encoder.bias", {F}, "."},
          {"decoder.weight", {d, F}, "o."},
          {"decoder.bias", {d}, "o"},
          {"log_jumprelu_threshold", {F}, "."}},
         {{"s/config.json", R"({"d_model": 8, "sae_type": "sae", "hook_point_in": "blocks.15.hook_resid_post"})"}}},
        {"Goodfire",
         "goodfire",
         Container::torch,
         "goodfire.pth",
         {{"encoder_linear.weight", {F, d}, ".o"},
          {"encoder_linear.bias", {F}, "."},
          {"decoder_linear.weight", {d, F}, "o."},
          {"decoder_linear.bias", {d}, "o"}}},
        {"Qwen Scope",
         "qwen-scope",
         Container::torch,
         "layer3.sae.pt",
         {{"W_enc", {F, d}, ".o"}, {"W_dec", {d, F}, "o."}, {"b_enc", {F}, "."}, {"b_dec", {d}, "o"}}},
        {"Qwen Scope, as many latents as channels",
         "qwen-scope",
         Container::torch,
         "square.pt",
         {{"W_enc", {d, d}, ".o"}, {"W_dec", {d, d}, "o."}, {"b_enc", {d}, "."}, {"b_dec", {d}, "o"}},
         {},
         {},
         true},
        {"DeepSeek-R1 SAE (qresearch)",
         "dictionary-learning",
         Container::torch,
         "r1.pt",
         {{"encoder.weight", {F, d}, ".o"},
          {"encoder.bias", {F}, "."},
          {"decoder.weight", {d, F}, "o."},
          {"decoder.bias", {d}, "o"}}},
        {"dictionary_learning AutoEncoder",
         "dictionary-learning",
         Container::torch,
         "t/ae.pt",
         {{"bias", {d}, "o"},
          {"encoder.weight", {F, d}, ".o"},
          {"encoder.bias", {F}, "."},
          {"decoder.weight", {d, F}, "o."}},
         {{"t/config.json",
           R"({"trainer": {"activation_dim": 8, "dict_size": 20, "dict_class": "AutoEncoder", "lm_name": "google/gemma-2-2b", "layer": 12}, "buffer": {"ctx_len": 128}})"}}},
        {"dictionary_learning GatedAutoEncoder",
         "dictionary-learning",
         Container::torch,
         "gated.pt",
         {{"decoder_bias", {d}, "o"},
          {"encoder.weight", {F, d}, ".o"},
          {"r_mag", {F}, "."},
          {"gate_bias", {F}, "."},
          {"mag_bias", {F}, "."},
          {"decoder.weight", {d, F}, "o."}}},
        {"dictionary_learning BatchTopKSAE",
         "dictionary-learning",
         Container::torch,
         "topk.pt",
         {{"b_dec", {d}, "o"},
          {"k", {}, ""},
          {"threshold", {}, ""},
          {"decoder.weight", {d, F}, "o."},
          {"encoder.weight", {F, d}, ".o"},
          {"encoder.bias", {F}, "."}}},
        {"dictionary_learning MatryoshkaBatchTopKSAE",
         "dictionary-learning-matrices",
         Container::torch,
         "matryoshka.pt",
         {{"W_enc", {d, F}, "o."},
          {"b_enc", {F}, "."},
          {"W_dec", {F, d}, ".o"},
          {"b_dec", {d}, "o"},
          {"k", {}, ""},
          {"threshold", {}, ""},
          {"group_sizes", {2}, "."}}},
        {"dictionary_learning JumpReluAutoEncoder",
         "dictionary-learning-matrices",
         Container::torch,
         "jumprelu.pt",
         {{"W_enc", {d, F}, "o."},
          {"b_enc", {F}, "."},
          {"W_dec", {F, d}, ".o"},
          {"b_dec", {d}, "o"},
          {"threshold", {F}, "."}}},
        {"crosscoder of one model's layers",
         "crosscoder",
         Container::torch,
         "crosscoder.pt",
         {{"encoder.weight", {3, d, F}, ".o."},
          {"encoder.bias", {F}, "."},
          {"decoder.weight", {3, F, d}, "..o"},
          {"decoder.bias", {3, d}, ".o"}},
         {},
         {},
         true},
        {"EleutherAI sparsify",
         "sparsify",
         Container::safetensors,
         "layers.10/sae.safetensors",
         {{"encoder.weight", {F, d}, ".o"}, {"encoder.bias", {F}, "."}, {"W_dec", {F, d}, ".o"}, {"b_dec", {d}, "o"}},
         {{"layers.10/cfg.json",
           R"({"activation": "topk", "expansion_factor": 32, "normalize_decoder": true, "num_latents": 0, "k": 32, "multi_topk": false, "skip_connection": false, "d_in": 8})"}}},
        {"EleutherAI sparsify, skip transcoder of its first days",
         "sparsify",
         Container::safetensors,
         "layers.10.mlp/sae.safetensors",
         {{"encoder.weight", {F, d}, ".o"},
          {"encoder.bias", {F}, "."},
          {"W_dec", {F, d}, ".o"},
          {"b_dec", {d}, "o"},
          {"W_skip", {d, d}, "oo"}},
         {{"layers.10.mlp/cfg.json",
           R"({"expansion_factor": 32, "num_latents": 20, "k": 32, "signed": false, "skip_connection": true, "transcode": true, "d_in": 8})"}}},
        {"Qwen3 transcoder (mwhanna)",
         "qwen3-transcoder",
         Container::safetensors,
         "layer_3.safetensors",
         {{"W_enc", {F, d}, ".o"}, {"W_dec", {F, d}, ".o"}, {"b_enc", {F}, "."}, {"b_dec", {d}, "o"}}},
        {"circuit-tracer's Llama transcoder",
         "circuit-tracer",
         Container::safetensors,
         "layer_3.safetensors",
         {{"W_enc", {F, d}, ".o"},
          {"W_dec", {d, F}, "o."},
          {"W_skip", {d, d}, "oo"},
          {"b_enc", {F}, "."},
          {"b_dec", {d}, "o"}}},
        {"cross-layer transcoder (mntss), encoder",
         "cross-layer-transcoder",
         Container::safetensors,
         "W_enc_3.safetensors",
         {{"W_enc_3", {F, d}, ".o"}, {"b_enc_3", {F}, "."}, {"b_dec_3", {d}, "o"}}},
        {"cross-layer transcoder (mntss), decoder",
         "cross-layer-transcoder",
         Container::safetensors,
         "W_dec_3.safetensors",
         {{"W_dec_3", {F, 5, d}, "..o"}}},
        {"Gemma Scope, lower case",
         "gemma-scope",
         Container::npz,
         "g/params.npz",
         {{"w_enc", {d, F}, "o."},
          {"w_dec", {F, d}, ".o"},
          {"b_enc", {F}, "."},
          {"b_dec", {d}, "o"},
          {"threshold", {F}, "."}}},
        {"Gemma Scope 2 transcoder",
         "gemma-scope-2",
         Container::safetensors,
         "transcoder/params.safetensors",
         {{"w_enc", {d, F}, "o."},
          {"w_dec", {F, d}, ".o"},
          {"b_enc", {F}, "."},
          {"b_dec", {d}, "o"},
          {"threshold", {F}, "."},
          {"affine_skip_connection", {d, d}, "oo"}},
         {{"transcoder/config.json",
           R"({"architecture": "jump_relu", "model_name": "gemma-3-270m", "hf_hook_point_in": "model.layers.5.pre_feedforward_layernorm.output", "hf_hook_point_out": "model.layers.5.post_feedforward_layernorm.output"})"}}},
        {"Gemma Scope 2 cross-layer transcoder",
         "gemma-scope-2",
         Container::safetensors,
         "clt/params.safetensors",
         {{"w_enc", {3, d, F}, ".o."},
          {"w_dec", {3, F, 3, d}, "...o"},
          {"b_enc", {3, F}, ".."},
          {"b_dec", {3, d}, ".o"},
          {"threshold", {3, F}, ".."}},
         {{"clt/config.json", R"({"architecture": "jump_relu"})"}}},
        {"RepE reader, saved as tensors",
         "vectors",
         Container::torch,
         "reader.pt",
         {{"directions.-1", {2, d}, ".o"},
          {"directions.-2", {2, d}, ".o"},
          {"direction_signs.-1", {2}, "."},
          {"direction_signs.-2", {2}, "."},
          {"H_train_means.-1", {1, d}, ".o"}}},
        {"steering-vectors' layer_activations",
         "vectors",
         Container::torch,
         "steering.pt",
         {{"layer_activations.3", {d}, "o"}, {"layer_activations.4", {d}, "o"}},
         {},
         {{"layer_type", "decoder_block"}}},
        {"persona vector", "vector", Container::torch, "evil_response_avg_diff.pt", {{"diff", {5, d}, ".o"}}},
        {"residual streams of a prompt",
         "vectors",
         Container::npz,
         "p.npz",
         {{"residual_stream_l0", {3, d}, ".o"}, {"residual_stream_l1", {3, d}, ".o"}}},
        {"mergekit's activations",
         "vectors",
         Container::safetensors,
         "m.safetensors",
         {{"running_residual", {2, 3, 4, d}, "...o"}, {"attention_mask", {2, 4}, ".."}}},
        {"TransformerLens cache",
         "activation-cache",
         Container::torch,
         "cache.pt",
         {{"hook_embed", {2, 3, d}, "..o"},
          {"blocks.0.hook_resid_pre", {2, 3, d}, "..o"},
          {"blocks.0.ln1.hook_scale", {2, 3, 1}, "..."},
          {"blocks.0.ln1.hook_normalized", {2, 3, d}, "..o"},
          {"blocks.0.attn.hook_result", {2, 3, 4, d}, "...o"},
          {"blocks.0.hook_attn_out", {2, 3, d}, "..o"},
          {"blocks.0.hook_resid_post", {2, 3, d}, "..o"}}},
        {"tuned lens",
         "tuned-lens",
         Container::torch,
         "lens/params.pt",
         {{"0.weight", {d, d}, "oo"}, {"0.bias", {d}, "o"}, {"1.weight", {d, d}, "oo"}, {"1.bias", {d}, "o"}},
         {{"lens/config.json",
           R"({"base_model_name_or_path": "meta-llama/Llama-2-7b", "d_model": 8, "num_hidden_layers": 2, "bias": true, "unembed_hash": "ab12"})"}}},
        {"scikit-learn probe's arrays",
         "probe",
         Container::npz,
         "probe.npz",
         {{"coef_", {3, d}, ".o"},
          {"intercept_", {3}, "."},
          {"mean_", {d}, "o"},
          {"scale_", {d}, "e"},
          {"var_", {d}, "e"}}},
        {"principal components",
         "probe",
         Container::npz,
         "pca.npz",
         {{"components_", {4, d}, ".o"},
          {"mean_", {d}, "o"},
          {"explained_variance_", {4}, "."},
          {"singular_values_", {4}, "."}}},
        {"torch.nn.Linear probe",
         "probe",
         Container::torch,
         "probe.pt",
         {{"weight", {1, d}, ".o"}, {"bias", {1}, "."}}},
        {"AdamW keyed by name (FSDP, full)",
         "optimizer",
         Container::torch,
         "optimizer.bin",
         {{"state.model.embed_tokens.weight.exp_avg", {11, d}, ".o"},
          {"state.model.embed_tokens.weight.exp_avg_sq", {11, d}, ".e"},
          {"state.model.embed_tokens.weight.step", {}, ""},
          {"state._fsdp_wrapped_module.model.layers.0.self_attn.o_proj.weight.exp_avg", {d, d}, "o."},
          {"state._fsdp_wrapped_module.model.layers.0.self_attn.o_proj.weight.exp_avg_sq", {d, d}, "e."},
          {"state._fsdp_wrapped_module.model.layers.0.self_attn.o_proj.weight.max_exp_avg_sq", {d, d}, "e."},
          {"state.model.norm.weight.exp_avg", {d}, "e"},
          {"state.model.norm.weight.exp_avg_sq", {d}, "e"},
          {"state.model.layers.0.self_attn.q_norm.weight.exp_avg", {d}, "."}}},
        {"SGD and Muon momentum",
         "optimizer",
         Container::torch,
         "momentum.pt",
         {{"state.model.layers.0.self_attn.q_proj.weight.momentum_buffer", {d, d}, ".o"},
          {"state.model.layers.0.mlp.down_proj.weight.momentum_buffer", {d, F}, "o."}}},
        {"bitsandbytes, 32 bit, as 0.50 wraps its state",
         "optimizer",
         Container::torch,
         "bitsandbytes.pt",
         {{"state.model.layers.0.mlp.down_proj.weight.__bnb_optimizer_quant_state__.state1", {d, F}, "o."},
          {"state.model.layers.0.mlp.down_proj.weight.__bnb_optimizer_quant_state__.state2", {d, F}, "e."},
          {"state.model.layers.0.mlp.down_proj.weight.__bnb_optimizer_quant_state__.unorm_vec", {1}, "."}}},
        {"DeepSpeed universal",
         "deepspeed-universal",
         Container::torch,
         "zero/model.layers.0.self_attn.o_proj.weight/exp_avg.pt",
         {{"param", {d, d}, "o."}},
         {{"zero/model.layers.0.self_attn.o_proj.weight/step.pt", "7"}}},
        {"PEFT LoRA",
         "peft-lora",
         Container::safetensors,
         "a/adapter_model.safetensors",
         {{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", {4, d}, ".o"},
          {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", {d, 4}, ".."},
          {"base_model.model.model.layers.0.mlp.down_proj.lora_A.weight", {4, F}, ".."},
          {"base_model.model.model.layers.0.mlp.down_proj.lora_B.weight", {d, 4}, "o."},
          {"base_model.model.model.layers.0.mlp.down_proj.lora_B.bias", {d}, "o"},
          {"base_model.model.model.layers.0.mlp.down_proj.lora_magnitude_vector", {d}, "e"},
          {"base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", {d}, "."},
          {"base_model.model.model.embed_tokens.lora_embedding_A", {4, 11}, ".."},
          {"base_model.model.model.embed_tokens.lora_embedding_B", {d, 4}, "o."},
          {"base_model.model.model.embed_tokens.lora_magnitude_vector", {d}, "e"},
          {"base_model.model.model.embed_tokens.base_layer.weight", {11, d}, ".o"},
          {"base_model.model.lm_head.weight", {11, d}, ".o"},
          {"base_model.model.model.norm.weight", {d}, "e"}},
         {{"a/adapter_config.json",
           R"({"peft_type": "LORA", "r": 4, "base_model_name_or_path": "meta-llama/Llama-3.2-1B"})"}}},
        {"PEFT IA3",
         "peft-ia3",
         Container::torch,
         "a/adapter_model.bin",
         {{"base_model.model.model.layers.0.self_attn.o_proj.ia3_l", {d, 1}, "e."},
          {"base_model.model.model.layers.0.mlp.up_proj.ia3_l", {1, d}, ".e"},
          {"base_model.model.model.layers.0.self_attn.k_proj.ia3_l", {d, 1}, ".."}},
         {{"a/adapter_config.json", R"({"peft_type": "IA3"})"}}},
        {"llama.cpp LoRA",
         "gguf-lora",
         Container::gguf,
         "lora.gguf",
         {{"token_embd.weight.lora_a", {11, 4}, ".."},
          {"token_embd.weight.lora_b", {d, 4}, "o."},
          {"blk.0.attn_q.weight.lora_a", {4, d}, ".o"},
          {"blk.0.attn_q.weight.lora_b", {d, 4}, ".."},
          {"blk.0.attn_output.weight.lora_a", {4, d}, ".."},
          {"blk.0.attn_output.weight.lora_b", {d, 4}, "o."},
          {"blk.0.ffn_gate_exps.weight.lora_a", {2, 4, d}, "..o"},
          {"blk.0.ffn_down_exps.weight.lora_b", {2, d, 4}, ".o."}},
         {},
         {{"general.type", "adapter"}, {"general.architecture", "llama"}, {"adapter.type", "lora"}}},
        {"GGUF mixture of experts",
         "gguf-model",
         Container::gguf,
         "moe.gguf",
         {{"token_embd.weight", {11, d}, ".o"},
          {"blk.0.attn_norm.weight", {d}, "e"},
          {"blk.0.attn_q.weight", {d, d}, ".o"},
          {"blk.0.attn_output.weight", {d, d}, "o."},
          {"blk.0.ffn_gate_inp.weight", {2, d}, ".o"},
          {"blk.0.ffn_gate_exps.weight", {2, F, d}, "..o"},
          {"blk.0.ffn_up_exps.weight", {2, F, d}, "..o"},
          {"blk.0.ffn_down_exps.weight", {2, d, F}, ".o."},
          {"blk.0.ffn_gate_inp_shexp.weight", {d}, "o"},
          {"output_norm.weight", {d}, "e"},
          {"output.weight", {11, d}, ".o"},
          {"rope_freqs.weight", {d}, "."}},
         {},
         {{"general.architecture", "qwen2moe"}, {"general.name", "tiny"}}},
    };
    return all;
}

std::string written(Container container, const std::vector<Array>& arrays, const Texts& texts) {
    switch (container) {
        case Container::safetensors: return safetensors(arrays);
        case Container::torch: return torchFile(arrays, texts);
        case Container::npz: return npz(arrays);
        case Container::gguf: return gguf(arrays, texts);
    }
    return "";
}

Array expectedOf(const Array& array, const std::string& actions, const Gauge& gauge) {
    Array moved = array;
    for (std::size_t axis = 0; axis < actions.size(); ++axis)
        if (actions[axis] != '.') moved = movedAxis(moved, gauge, axis, actions[axis] == 'o');
    return moved;
}

ErrorCode refused(MemoryFiles& files, const std::string& object, const Gauge& gauge, const std::string& part) {
    INFO(object);
    const Refusal refusal = requireRefusal([&] { transport(files, object, alignmentOf(gauge), "refused"); });
    CHECK_THAT(refusal.message, ContainsSubstring(part));
    CHECK_FALSE(files.exists("refused"));
    return refusal.code;
}

}  // namespace

TEST_CASE("every kind of object moves by its publisher's names and axes, and comes back byte for byte") {
    const Object& object = objects()[GENERATE(range(std::size_t{0}, objects().size()))];
    INFO(object.title);
    MemoryFiles files;
    std::vector<Array> arrays;
    for (const Expected& tensor : object.tensors)
        arrays.push_back(randomArray(tensor.name, tensor.shape, static_cast<unsigned>(arrays.size()) + 1));
    files.put(object.path, written(object.container, arrays, object.texts));
    for (const auto& [path, text] : object.companions) files.put(path, text);
    // A folder is moved where the object is one: below its companions' folder, or by its own.
    const std::string path(object.path);
    const std::size_t slash = object.companions.empty() ? path.find('/') : object.companions.front().first.rfind('/');
    const std::string item = slash == std::string::npos ? path : path.substr(0, slash),
                      rest = slash == std::string::npos ? "" : path.substr(slash);
    const std::string there = "there/" + fileNameOf(item),
                      back = "back/" + fileNameOf(item);  // some are named by their folder
    const Gauge gauge = randomGauge(d, 21);
    TransportOptions options;
    if (object.asked) options.kind = object.kind;
    const Plan plan = transport(files, item, alignmentOf(gauge), there, options);
    CHECK(plan.kind == object.kind);
    CHECK(plan.d == d);
    REQUIRE(plan.moves.size() == arrays.size());
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        INFO(arrays[i].name);
        CHECK(plan.moves[i].tensor.name == arrays[i].name);
        CHECK_FALSE(plan.moves[i].why.empty());
        CHECK(arrayIn(files, there + rest, arrays[i].name).values ==
              expectedOf(arrays[i], object.tensors[i].actions, gauge).values);
    }
    transport(files, there, alignmentOf(gauge.inverse()), back, options);
    CHECK(files.below(back) == files.below(item));
}

TEST_CASE("a JSON vector as Neuronpedia gives it moves number by number, as it was written") {
    MemoryFiles files;
    const Gauge gauge({1, 2, 3, 0}, {-1, 1, 1, -1});
    files.put("vector.json", "[0.5, -1e-3, 2.25, -3]\n");
    transport(files, "vector.json", alignmentOf(gauge), "moved");
    CHECK(files.text("moved") == "[1e-3, 2.25, -3, -0.5]\n");
    transport(files, "moved", alignmentOf(gauge.inverse()), "back");
    CHECK(files.text("back") == files.text("vector.json"));
}

TEST_CASE("OpenAI's SAEs and others that subtract a mean refuse signs, and move by a permutation") {
    MemoryFiles files;
    const Gauge signs = randomGauge(d, 21), permutation(signs.perm(), std::vector<std::int8_t>(d, 1));
    const std::vector<Array> openai{randomArray("encoder.weight", {F, d}, 1), randomArray("latent_bias", {F}, 2),
                                    randomArray("pre_bias", {d}, 3), randomArray("decoder.weight", {d, F}, 4),
                                    randomArray("stats_last_nonzero", {F}, 5)};
    files.put("6.pt", torchFile(openai, {{"activation", "TopK"}, {"activation_state_dict.k", "32"}}));
    files.put("t/ae.pt", torchFile({randomArray("bias", {d}, 1), randomArray("encoder.weight", {F, d}, 2),
                                    randomArray("encoder.bias", {F}, 3), randomArray("decoder.weight", {d, F}, 4)}));
    files.put("t/config.json",
              R"({"trainer": {"dict_class": "AutoEncoder", "lm_name": "EleutherAI/pythia-70m-deduped", "layer": 3}})");
    files.put("o.pt", torchFile({randomArray("state.transformer.h.0.attn.c_attn.weight.exp_avg", {d, F}, 1)}));
    files.put("s/sae_weights.safetensors",
              safetensors({randomArray("W_enc", {d, F}, 1), randomArray("W_dec", {F, d}, 2),
                           randomArray("b_dec", {d}, 3), randomArray("b_enc", {F}, 4)}));
    files.put("s/cfg.json",
              R"({"d_in": 8, "d_sae": 20, "model_name": "gpt2-small", "hook_point": "blocks.8.hook_resid_pre"})");
    files.put(
        "a/adapter_model.safetensors",
        safetensors({randomArray("base_model.model.gpt_neox.layers.0.attention.dense.lora_A.weight", {2, d}, 1),
                     randomArray("base_model.model.gpt_neox.layers.0.attention.dense.lora_B.weight", {d, 2}, 2)}));
    files.put("a/adapter_config.json", R"({"peft_type": "LORA"})");
    for (const char* object : {"6.pt", "t", "o.pt", "s", "a"}) {
        INFO(object);
        CHECK(refused(files, object, signs, "--group permutation") == ErrorCode::unsupported);
        CHECK(transport(files, object, alignmentOf(permutation), "moved").permutationOnly);
        transport(files, "moved", alignmentOf(permutation.inverse()), "back");
        CHECK(files.below("back") == files.below(object));
        std::erase_if(files.contents, [](const auto& file) {
            return file.first.starts_with("moved") || file.first.starts_with("back");
        });
    }
    transport(files, "6.pt", alignmentOf(permutation), "moved");
    for (const Array& array : openai)
        CHECK(arrayIn(files, "moved", array.name).values ==
              (array.name == "encoder.weight"                               ? movedAxis(array, permutation, 1)
               : array.name == "pre_bias" || array.name == "decoder.weight" ? movedAxis(array, permutation, 0)
                                                                            : array)
                  .values);
}

TEST_CASE("what lives in head space or MLP space is said not to be residual, whatever its width") {
    MemoryFiles files;
    const Gauge gauge = randomGauge(d, 21);
    const std::vector<Array> arrays{randomArray("W_enc", {d, F}, 1), randomArray("W_dec", {F, d}, 2),
                                    randomArray("b_dec", {d}, 3), randomArray("b_enc", {F}, 4)};
    const auto at = [&](const std::string& hook) {
        files.put("s/sae_weights.safetensors", safetensors(arrays));
        files.put("s/cfg.json", R"({"d_in": 8, "d_sae": 20, "metadata": {"hook_name": ")" + hook + "\"}}");
        return "s";
    };
    for (const char* hook : {"blocks.3.attn.hook_z", "blocks.3.attn.hook_q", "blocks.3.attn.hook_v"})
        CHECK(refused(files, at(hook), gauge, "head space, not residual") == ErrorCode::unsupported);
    for (const char* hook : {"blocks.3.mlp.hook_post", "blocks.3.mlp.hook_pre"})
        CHECK(refused(files, at(hook), gauge, "MLP hidden space, not residual") == ErrorCode::unsupported);
    CHECK(refused(files, at("blocks.3.attn.hook_pattern"), gauge, "attention weights, not residual") ==
          ErrorCode::unsupported);
    CHECK(refused(files, at("blocks.3.something_new"), gauge, "does not know whether") == ErrorCode::unsupported);
    for (const char* hook :
         {"blocks.3.hook_mlp_out", "blocks.3.hook_attn_out", "blocks.3.ln2.hook_normalized", "hook_embed"})
        CHECK(planTransport(files, at(hook)).kind == "saelens");
    files.put("gemma-scope-2b-pt-att/layer_3/params.npz",
              npz({randomArray("W_enc", {d, F}, 1), randomArray("W_dec", {F, d}, 2), randomArray("b_dec", {d}, 3),
                   randomArray("b_enc", {F}, 4)}));
    CHECK(refused(files, "gemma-scope-2b-pt-att/layer_3", gauge, "hook_z") == ErrorCode::unsupported);
    files.put("cache.pt", torchFile({randomArray("blocks.0.hook_resid_pre", {2, d}, 1),
                                     randomArray("blocks.0.attn.hook_z", {2, 2, d}, 2)}));
    CHECK(refused(files, "cache.pt", gauge, "blocks.0.attn.hook_z") == ErrorCode::unknownTensor);
    files.put("p/adapter_model.safetensors", safetensors({randomArray("prompt_embeddings", {5, 2 * d}, 1)}));
    files.put("p/adapter_config.json", R"({"peft_type": "PREFIX_TUNING"})");
    CHECK(refused(files, "p", gauge, "head space, not residual") == ErrorCode::unsupported);
}

TEST_CASE("what cannot be read or moved says what to do instead") {
    MemoryFiles files;
    const Gauge gauge = randomGauge(d, 21);
    files.put("probe.joblib", std::string("\x80\x05\x95\x1c", 4) + std::string(20, 'x'));
    CHECK(refused(files, "probe.joblib", gauge, "coef_") == ErrorCode::unsupported);
    files.put("z.joblib", std::string("\x78\x9c", 2) + std::string(20, 'x'));
    CHECK(refused(files, "z.joblib", gauge, "compressed") == ErrorCode::unsupported);
    for (const char* type : {"VERA", "LOKR", "OFT", "BOFT", "FOURIERFT", "SHIRA"}) {
        files.put("a/adapter_model.safetensors",
                  safetensors({randomArray("base_model.model.model.layers.0.self_attn.q_proj.w", {d}, 1)}));
        files.put("a/adapter_config.json", std::string(R"({"peft_type": ")") + type + "\"}");
        CHECK(refused(files, "a", gauge, "Merge it into its model") == ErrorCode::unsupported);
    }
    for (const char* type : {"ADAPTION_PROMPT", "LILY", "POLY", "SHADOW"}) {  // PEFT has no merge for these
        files.put("a/adapter_config.json", std::string(R"({"peft_type": ")") + type + "\"}");
        CHECK(refused(files, "a", gauge, "train it again on the moved one") == ErrorCode::unsupported);
    }
    files.put("x/adapter_model.safetensors", safetensors({}));  // as PEFT saves a classifier of one layer
    files.put("x/adapter_config.json", R"({"peft_type": "XLORA", "adapters": {"0": "a"}})");
    CHECK(refused(files, "x", gauge, "Move the LoRA adapters that it mixes") == ErrorCode::unsupported);
    files.put("m/model.safetensors", safetensors({randomArray("model.embed_tokens.weight", {11, d}, 1),
                                                  randomArray("model.layers.0.mixer.strange.weight", {d, d}, 2)}));
    files.put("m/config.json", R"({"model_type": "tomorrow", "hidden_size": 8})");
    CHECK(refused(files, "m", gauge, "model_type = tomorrow") == ErrorCode::unsupported);
    CHECK(refused(files, "m", gauge, "no family has model.layers.0.mixer.strange.weight") == ErrorCode::unsupported);
    files.put("c.pt",
              torchFile({randomArray("encoder.weight", {2, d, F}, 1), randomArray("decoder.weight", {2, F, d}, 2),
                         randomArray("decoder.bias", {2, d}, 3), randomArray("encoder.bias", {F}, 4)}));
    CHECK(refused(files, "c.pt", gauge, "--kind crosscoder") == ErrorCode::unsupported);
    files.put("q.gguf",
              gguf({randomArray("token_embd.weight", {11, d}, 1), randomArray("blk.0.attn_output.weight", {d, d}, 1),
                    randomArray("output_norm.weight", {d}, 1)},
                   {{"general.architecture", "tomorrow"}}));
    CHECK(refused(files, "q.gguf", gauge, "general.architecture = tomorrow") == ErrorCode::unsupported);
}

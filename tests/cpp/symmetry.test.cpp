// What a model's name says about the symmetry of everything that belongs to it.
#include "recipes/symmetry.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "recipes/recipe_table.hpp"
#include "refusal.hpp"
#include "regauge/transport.hpp"
#include "written_files.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t d = 8, F = 20;

bool isPermutationOnly(const char* name) {
    const ModelSymmetry* model = symmetryOf(name);
    REQUIRE(model);
    CHECK(model->refuse.empty());
    return !model->permutationOnly.empty();
}

std::string said(const MemoryFiles& files, const std::string& object, const Gauge& gauge) {
    MemoryFiles copy = files;
    const auto refusal = refusalOf([&] { transport(copy, object, alignmentOf(gauge), "moved"); });
    return refusal ? refusal->message : "";
}

// An adapter of one layer whose configuration says this of its model.
void putAdapter(MemoryFiles& files, const std::string& module, const std::string& about) {
    const std::string at = "base_model.model." + module;
    files.put("a/adapter_model.safetensors", safetensors({randomArray(at + ".lora_A.weight", {2, d}, 1),
                                                          randomArray(at + ".lora_B.weight", {d, 2}, 2)}));
    files.put("a/adapter_config.json", R"({"peft_type": "LORA", )" + about + "}");
}

}  // namespace

TEST_CASE("a model's name says whether single signs are its symmetry, exceptions first") {
    for (const char* name : {"gpt2",
                             "gpt2-small",
                             "openai-community/gpt2-xl",
                             "distilgpt2",
                             "THUDM/chatglm-6b",
                             "ibm-granite/granite-20b-code-base-8k",
                             "ibm-granite/granite-34b-code-instruct",
                             "EleutherAI/pythia-70m-deduped",
                             "pythia-2.8b",
                             "gpt-j-6B",
                             "EleutherAI/gpt-neo-125M",
                             "roneneldan/TinyStories-33M",
                             "tiny-stories-1L-21M",
                             "facebook/opt-6.7b",
                             "opt-125m",
                             "bigscience/bloom-560m",
                             "tiiuae/falcon-7b-instruct",
                             "microsoft/phi-2",
                             "phi-1_5",
                             "gelu-1l",
                             "solu-2l",
                             "CohereForAI/c4ai-command-r-v01",
                             "CohereLabs/aya-expanse-8b",
                             "allenai/OLMo-1B-hf",
                             "bert-base-cased",
                             "stabilityai/stablelm-2-1_6b",
                             "bigcode/starcoder2-3b",
                             "nvidia/Nemotron-4-340B-Base",
                             "microsoft/Phi-3.5-MoE-instruct",
                             "mistralai/Mistral-Large-4-Instruct",
                             "transformers.models.deberta_v2.modeling_deberta_v2",
                             "transformers.models.phi.modeling_phi",
                             "transformers.models.cohere2.modeling_cohere2",
                             "gptneox",
                             "phi2",
                             "/data/runs/pythia-160m/checkpoint-500",
                             "models--openai-community--gpt2/snapshots/607a30d7"}) {
        INFO(name);
        CHECK(isPermutationOnly(name));
    }
    for (const char* name : {"THUDM/chatglm2-6b",
                             "ibm-granite/granite-3.1-2b-base",
                             "ibm-granite/granite-8b-code-base",
                             "meta-llama/Llama-3.2-1B",
                             "google/gemma-2-2b",
                             "gemma-2-2b-it",
                             "microsoft/Phi-3.5-mini-instruct",
                             "microsoft/phi-4",
                             "allenai/OLMo-2-1124-7B",
                             "allenai/OLMoE-1B-7B-0924",
                             "tiiuae/Falcon3-7B-Base",
                             "tiiuae/Falcon-H1-1B-Base",
                             "openai/gpt-oss-20b",
                             "nvidia/Llama-3.1-Minitron-4B-Width-Base",
                             "nvidia/NVIDIA-Nemotron-Nano-9B-v2",
                             "Qwen/Qwen3-8B",
                             "google/flan-t5-base",
                             "CohereLabs/aya-101",
                             "mistralai/Mistral-7B-v0.1",
                             "qwen2moe",
                             "transformers.models.phi3.modeling_phi3",
                             "transformers.models.olmo2.modeling_olmo2"}) {
        INFO(name);
        CHECK_FALSE(isPermutationOnly(name));
    }
    for (const char* name : {"my-model", "/tmp/base", "phil/thing", "optimist-7b", "mptx"}) {
        INFO(name);
        CHECK(symmetryOf(name) == nullptr);
    }
    CHECK_FALSE(symmetryOf("facebook/nllb-200-distilled-600M")->refuse.empty());
}

TEST_CASE("every object that names a LayerNorm model refuses single signs by that name, and moves by a permutation") {
    MemoryFiles files;
    const Gauge signs = randomGauge(d, 21), permutation(signs.perm(), std::vector<std::int8_t>(d, 1));
    putAdapter(files, "model.layers.0.self_attn.o_proj",
               R"("auto_mapping": {"parent_library": "transformers.models.starcoder2.modeling_starcoder2"})");
    files.put("s/sae_weights.safetensors",
              safetensors({randomArray("W_enc", {d, F}, 1), randomArray("W_dec", {F, d}, 2),
                           randomArray("b_dec", {d}, 3), randomArray("b_enc", {F}, 4)}));
    files.put(
        "s/cfg.json",
        R"({"d_in": 8, "d_sae": 20, "metadata": {"model_name": "tiiuae/falcon-7b", "hook_name": "blocks.8.hook_resid_pre"}})");
    files.put("t/ae.pt", torchFile({randomArray("bias", {d}, 1), randomArray("encoder.weight", {F, d}, 2),
                                    randomArray("encoder.bias", {F}, 3), randomArray("decoder.weight", {d, F}, 4)}));
    files.put("t/config.json", R"({"trainer": {"dict_class": "AutoEncoder", "lm_name": "facebook/opt-1.3b"}})");
    files.put("c.gguf", gguf({randomArray("direction.1", {d}, 1)},
                             {{"general.architecture", "controlvector"}, {"controlvector.model_hint", "phi2"}}));
    files.put("v.safetensors",
              safetensors({randomArray("vector", {d}, 1)}, R"("__metadata__":{"model_name":"bigscience/bloom-560m"})"));
    files.put("l.json", R"({"model": "EleutherAI/gpt-j-6b", "neurons": [3, 5], "values": [0.5, -1]})");
    files.put("l.csv", "model,neuron,value\nmicrosoft/phi-2,3,0.5\nmicrosoft/phi-2,5,-1\n");
    for (const auto& [object, name] : std::vector<std::pair<std::string, std::string>>{{"a", "StarCoder 2"},
                                                                                       {"s", "tiiuae/falcon-7b"},
                                                                                       {"t", "facebook/opt-1.3b"},
                                                                                       {"c.gguf", "phi2"},
                                                                                       {"v.safetensors", "BLOOM"},
                                                                                       {"l.json", "GPT-J"},
                                                                                       {"l.csv", "microsoft/phi-2"}}) {
        INFO(object);
        CHECK_THAT(said(files, object, signs), ContainsSubstring(name) && ContainsSubstring("subtracts the mean") &&
                                                   ContainsSubstring("--group permutation"));
        CHECK(said(files, object, permutation).empty());
    }
}

TEST_CASE("a model without signs' symmetry by its name is refused, an unknown one and a missing one are said") {
    MemoryFiles files;
    const Gauge gauge = randomGauge(d, 3);
    const std::string module = "model.layers.0.self_attn.o_proj";
    putAdapter(files, module, R"("base_model_name_or_path": "facebook/nllb-200-distilled-600M")");
    CHECK_THAT(said(files, "a", gauge), ContainsSubstring("sinusoids"));
    putAdapter(files, module, R"("base_model_name_or_path": "/tmp/base")");
    CHECK_THAT(transport(files, "a", alignmentOf(gauge), "b").description,
               ContainsSubstring("the symmetry of its model, /tmp/base, is not known"));
    putAdapter(files, module, R"("base_model_name_or_path": null)");
    CHECK_THAT(transport(files, "a", alignmentOf(gauge), "c").description, ContainsSubstring("model not said"));
    putAdapter(files, module, R"("base_model_name_or_path": "Qwen/Qwen3-8B")");
    CHECK_THAT(transport(files, "a", alignmentOf(gauge), "e").description, !ContainsSubstring("single signs"));
}

TEST_CASE("an adapter's weights are looked up in the table of the model that it names") {
    const Recipe* gpt2 = nullptr;
    for (const Recipe& recipe : recipes())
        if (recipe.kind == "gpt2") gpt2 = &recipe;
    const Config named = Config::of({{"base_model_name_or_path", "distilgpt2"}});
    CHECK(namedModel({&named})->family == gpt2);
    const Config module = Config::of({{"auto_mapping.parent_library", "transformers.models.gpt2.modeling_gpt2"},
                                      {"base_model_name_or_path", "/tmp/llama"}});
    CHECK(namedModel({&module})->family == gpt2);
}

// LoRA on fused experts and other parameters by themselves (PEFT's target_parameters). The expectations are PEFT 0.21's
// own nesting and axes, which tests/interop/peft_kinds.py compares by logits.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "regauge/transport.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t d = 8;  // the experts are square: only the position tells their axes apart
const std::string experts = "base_model.model.model.layers.0.mlp.experts.";
const Gauge gauge = randomGauge(d, 7);

// Two experts of rank 2, on both of their parameters.
std::vector<Array> adapter() {
    std::vector<Array> arrays;
    for (const std::string level : {"", "base_layer."}) {
        arrays.push_back(randomArray(experts + level + "lora_A.weight", {4, d}, 1));
        arrays.push_back(randomArray(experts + level + "lora_B.weight", {d, 4}, 2));
    }
    return arrays;
}

MemoryFiles files(const std::string& base, const std::string& targets) {
    MemoryFiles made;
    made.put("a/adapter_model.safetensors", safetensors(adapter()));
    made.put("a/adapter_config.json", R"({"peft_type":"LORA","r":2,"base_model_name_or_path":")" + base +
                                          R"(","target_parameters":)" + targets + "}");
    return made;
}

// The tensors that move, and along which axis.
std::vector<std::pair<std::string, std::size_t>> movedIn(MemoryFiles& made) {
    std::vector<std::pair<std::string, std::size_t>> found;
    for (const TensorMove& move : planTransport(made, "a", {}, d).moves)
        for (const AxisMove& axis : move.moves) found.emplace_back(move.tensor.name.substr(experts.size()), axis.axis);
    return found;
}

}  // namespace

TEST_CASE("target parameters: the outermost LoRA of fused experts is the last parameter's, and the axes go by place") {
    using Moves = std::vector<std::pair<std::string, std::size_t>>;
    const std::string both = R"(["mlp.experts.gate_up_proj","mlp.experts.down_proj"])";
    // [E, 2I, d] and [E, d, I]: A reads the last axis of gate_up, B writes the first axis of down.
    MemoryFiles mixtral = files("mistralai/Mixtral-8x7B-v0.1", both);
    CHECK(movedIn(mixtral) == Moves{{"lora_B.weight", 0}, {"base_layer.lora_A.weight", 1}});
    // gpt_oss stores [E, d, 2I] and says is_transposed: A reads the first axis.
    MemoryFiles oss = files("openai/gpt-oss-20b", both);
    CHECK(movedIn(oss) == Moves{{"lora_B.weight", 0}, {"base_layer.lora_A.weight", 1}});
    transport(oss, "a", alignmentOf(gauge), "out");
    const std::vector<Array> arrays = adapter();
    CHECK(arrayIn(oss, "out/adapter_model.safetensors", arrays[1].name).values ==
          movedAxis(arrays[1], gauge, 0).values);
    CHECK(arrayIn(oss, "out/adapter_model.safetensors", arrays[2].name).values ==
          movedAxis(arrays[2], gauge, 1).values);
}

TEST_CASE("target parameters: a wrapper too many, or a parameter that no table has, is refused") {
    for (const char* targets : {R"(["mlp.experts.down_proj"])", R"(["mlp.experts.strange"])"}) {
        MemoryFiles made = files("mistralai/Mixtral-8x7B-v0.1", targets);
        CHECK_THROWS_WITH(transport(made, "a", alignmentOf(gauge), "out"), ContainsSubstring("no model family"));
    }
}

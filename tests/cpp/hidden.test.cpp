// Heads and neurons: models scrambled in everything that a transformer leaves free are found and undone.
#include "regauge/hidden.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "base/splitmix64.hpp"
#include "hidden/choose.hpp"
#include "hidden/match_hidden.hpp"
#include "hidden/small_matrix.hpp"
#include "memory_files.hpp"
#include "regauge/error.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/io/safetensors_writer.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/merge.hpp"
#include "regauge/model.hpp"
#include "regauge/random_gauge.hpp"
#include "regauge/transport.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t d = 32, vocabulary = 96;
const HiddenShape tiny{2, 24, 4, 2, 8, 4};

double gaussian(std::uint64_t& state) {
    double sum = 0;
    for (int k = 0; k < 12; ++k) sum += uniform(state);
    return sum - 6;
}

struct Tensor {
    Shape shape;
    std::vector<float> value;
};
using Tensors = std::map<std::string, Tensor>;

// A random model of a family that computes what its config says.
struct TinyModel {
    std::string config;
    Tensors tensors;
};

TinyModel randomModel(const std::string& family, std::uint64_t seed, const HiddenShape& shape = tiny,
                      const std::string& more = "") {
    std::uint64_t state = seed;
    TinyModel model;
    model.config = R"({"model_type":")" + family + R"(","hidden_size":32,"num_hidden_layers":)" +
                   std::to_string(shape.layers) + R"(,"num_attention_heads":)" + std::to_string(shape.heads) +
                   R"(,"num_key_value_heads":)" + std::to_string(shape.kvHeads) + R"(,"head_dim":)" +
                   std::to_string(shape.headDim) + R"(,"intermediate_size":)" + std::to_string(shape.neurons) +
                   R"(,"vocab_size":96,"rms_norm_eps":1e-6,"tie_word_embeddings":)" +
                   (family == "gemma" ? "true" : "false") + more + "}";
    const auto add = [&](const std::string& name, const Shape& dims, double scale, double centre = 0) {
        Tensor tensor{dims, {}};
        for (std::uint64_t k = 0; k < *elementCount(dims); ++k)
            tensor.value.push_back(static_cast<float>(centre + scale * gaussian(state)));
        model.tensors[name] = std::move(tensor);
    };
    const std::size_t q = shape.heads * shape.headDim, kv = shape.kvHeads * shape.headDim, n = shape.neurons;
    const double gain = family == "gemma" ? 0 : 1;
    add("model.embed_tokens.weight", {vocabulary, d}, 1);
    add("model.norm.weight", {d}, 0.1, gain);
    if (family != "gemma") add("lm_head.weight", {vocabulary, d}, 0.2);
    for (std::size_t l = 0; l < shape.layers; ++l) {
        const std::string at = "model.layers." + std::to_string(l) + ".";
        if (family == "olmo2") {
            add(at + "post_feedforward_layernorm.weight", {d}, 0.1, gain);
            add(at + "self_attn.q_norm.weight", {q}, 0.1, 1);
            add(at + "self_attn.k_norm.weight", {kv}, 0.1, 1);
        } else {
            add(at + "input_layernorm.weight", {d}, 0.1, gain);
        }
        add(at + "post_attention_layernorm.weight", {d}, 0.1, gain);
        if (family == "phi3") {
            add(at + "self_attn.qkv_proj.weight", {q + 2 * kv, d}, 0.3);
            add(at + "mlp.gate_up_proj.weight", {2 * n, d}, 0.3);
        } else {
            add(at + "self_attn.q_proj.weight", {q, d}, 0.3);
            add(at + "self_attn.k_proj.weight", {kv, d}, 0.3);
            add(at + "self_attn.v_proj.weight", {kv, d}, 0.3);
            add(at + "mlp.gate_proj.weight", {n, d}, 0.3);
            add(at + "mlp.up_proj.weight", {n, d}, 0.3);
        }
        add(at + "self_attn.o_proj.weight", {d, q}, 0.3);
        add(at + "mlp.down_proj.weight", {d, n}, 0.3);
        if (family == "qwen2")
            for (const auto& [name, length] : {std::pair{"q", q}, std::pair{"k", kv}, std::pair{"v", kv}})
                add(at + "self_attn." + name + "_proj.bias", {length}, 0.3);
        if (family == "qwen3")
            for (const char* name : {"q", "k"}) add(at + "self_attn." + name + "_norm.weight", {shape.headDim}, 0.1, 1);
    }
    return model;
}

void put(MemoryFiles& files, const std::string& folder, const TinyModel& model) {
    files.put(folder + "/config.json", model.config);
    std::vector<NewTensor> list;
    for (const auto& [name, tensor] : model.tensors)
        list.push_back({name, Dtype::F32, tensor.shape, std::as_bytes(std::span(tensor.value))});
    const auto output = files.create(folder + "/model.safetensors", false, true);
    writeSafetensors(list, {{"format", "pt"}}, output->file(""));
    output->commit();
}

Tensors readBack(const MemoryFiles& files, const std::string& folder) {
    const TensorFile file =
        openTensorFile(std::shared_ptr<const ByteSource>(files.open(folder + "/model.safetensors")));
    Tensors tensors;
    for (std::size_t k = 0; k < file.tensors.size(); ++k) {
        const TensorInfo& info = file.tensors[k].info;
        Tensor tensor{info.shape, std::vector<float>(static_cast<std::size_t>(*elementCount(info.shape)))};
        tensorBytes(file, k)->read(0, std::as_writable_bytes(std::span(tensor.value)));
        tensors[info.name] = std::move(tensor);
    }
    return tensors;
}

double largestDifference(const Tensors& a, const Tensors& b) {
    double largest = 0;
    for (const auto& [name, tensor] : a)
        for (std::size_t k = 0; k < tensor.value.size(); ++k)
            largest = std::max(largest, std::fabs(static_cast<double>(tensor.value[k]) - b.at(name).value[k]));
    return largest;
}

std::vector<std::uint32_t> shuffled(std::size_t n, std::uint64_t& state) {
    std::vector<std::uint32_t> perm(n);
    std::iota(perm.begin(), perm.end(), 0U);
    for (std::size_t i = n; i > 1; --i) std::swap(perm[i - 1], perm[static_cast<std::size_t>(splitmix64(state) % i)]);
    return perm;
}

// What is scrambled.
struct Freedom {
    bool places = true, scales = true, turns = true, matrices = true;
};

HiddenGauge randomHidden(const HiddenShape& shape, std::uint64_t seed, Freedom freedom, bool turnsAreSigns = false) {
    std::uint64_t state = seed;
    std::vector<HiddenLayer> layers = HiddenGauge::identity(shape).layers();
    for (HiddenLayer& layer : layers) {
        if (freedom.places) {
            layer.neurons = shuffled(shape.neurons, state);
            layer.kvHeads = shuffled(shape.kvHeads, state);
            for (std::size_t g = 0; g < shape.kvHeads; ++g) {
                const std::vector<std::uint32_t> inside = shuffled(shape.perGroup(), state);
                for (std::size_t i = 0; i < shape.perGroup(); ++i)
                    layer.heads[g * shape.perGroup() + i] =
                        layer.kvHeads[g] * static_cast<std::uint32_t>(shape.perGroup()) + inside[i];
            }
        }
        if (freedom.scales)
            for (std::size_t i = 0; i < shape.neurons; ++i) {
                layer.neuronSign[i] = uniform(state) < 0.5 ? -1 : 1;
                layer.neuronScale.push_back(static_cast<float>(0.5 + 1.5 * uniform(state)));
            }
        if (freedom.turns)
            for (std::size_t k = 0; k < shape.kvHeads * shape.pairs; ++k) {
                const double a = turnsAreSigns ? (uniform(state) < 0.5 ? -1 : 1) : 0.5 + uniform(state);
                layer.turn.push_back(static_cast<float>(a));
                layer.turn.push_back(turnsAreSigns ? 0.0F : static_cast<float>(2 * uniform(state) - 1));
            }
        const auto addMatrices = [&](std::vector<float>& list, std::size_t n) {
            for (std::size_t g = 0; g < shape.kvHeads; ++g)
                for (std::size_t i = 0; i < n; ++i)
                    for (std::size_t j = 0; j < n; ++j)
                        list.push_back(static_cast<float>((i == j ? 1.5 : 0) + 0.3 * gaussian(state)));
        };
        if (freedom.turns && shape.free() > 0) addMatrices(layer.freeKeys, shape.free());
        if (freedom.matrices) addMatrices(layer.value, shape.headDim);
    }
    return HiddenGauge(shape, std::move(layers));
}

Alignment asAlignment(const Gauge& gauge) {
    Alignment alignment;
    alignment.gauge = gauge;
    return alignment;
}

void moveBoth(MemoryFiles& files, const std::string& from, const Gauge& residual, const HiddenGauge& hidden,
              const std::string& to) {
    transport(files, from, asAlignment(residual), hidden, to);
}

double functionDifference(const MemoryFiles& files, const std::string& a, const std::string& b) {
    std::vector<std::int64_t> tokens;
    std::uint64_t state = 5;
    for (int k = 0; k < 24; ++k) tokens.push_back(static_cast<std::int64_t>(splitmix64(state) % vocabulary));
    return verify(Model::load(files, a), Model::load(files, b), {tokens}).maxLogitDifference;
}

}  // namespace

TEST_CASE("a hidden gauge leaves the function as it is, and its inverse gives the weights back", "[hidden]") {
    const std::string family = GENERATE("llama", "qwen2", "qwen3", "gemma", "mistral", "olmo2", "phi3");
    INFO(family);
    MemoryFiles files;
    const TinyModel model = randomModel(family, 1);
    put(files, "a", model);
    const HiddenGauge hidden = randomHidden(tiny, 2, {}, family == "qwen3" || family == "olmo2");
    const Gauge residual = RandomGauges(3).next(d);
    moveBoth(files, "a", residual, hidden, "b");
    CHECK(largestDifference(model.tensors, readBack(files, "b")) > 0.5);
    CHECK(functionDifference(files, "a", "b") < 1e-4);
    moveBoth(files, "b", residual.inverse(), hidden.inverse(), "back");
    CHECK(largestDifference(model.tensors, readBack(files, "back")) < 1e-5);
}

TEST_CASE("everything scrambled is found and undone", "[hidden]") {
    const std::string family = GENERATE("llama", "qwen2", "qwen3", "gemma", "mistral", "olmo2", "phi3");
    INFO(family);
    MemoryFiles files;
    put(files, "a", randomModel(family, 11));
    const HiddenGauge truth = randomHidden(tiny, 12, {}, family == "qwen3" || family == "olmo2");
    const Gauge residual = RandomGauges(13).next(d);
    moveBoth(files, "a", residual, truth, "b");
    const HiddenAlignment found = matchHidden(files, "a", "b");
    CHECK(found.residual.gauge == residual);
    const HiddenAgreement agreement = compare(found.hidden, truth);
    CHECK(agreement.neurons == 1);
    CHECK(agreement.heads == 1);
    CHECK(agreement.kvHeads == 1);
    CHECK(found.report.explained > 1 - 1e-9);
    CHECK(found.report.measure >= found.report.start);
    for (const HiddenLayer& layer : found.hidden.layers())
        CHECK(*std::ranges::min_element(layer.neuronScores.confidence) > 0.5);
    moveBoth(files, "a", found.residual.gauge, found.hidden, "moved");
    CHECK(largestDifference(readBack(files, "b"), readBack(files, "moved")) < 1e-5);
    CHECK(functionDifference(files, "b", "moved") < 1e-4);
}

TEST_CASE("what RoPE does not turn is found up to any matrix", "[hidden]") {
    MemoryFiles files;
    const HiddenShape shape{2, 24, 4, 2, 8, 2};
    put(files, "a", randomModel("llama", 21, shape, R"(,"partial_rotary_factor":0.5)"));
    const HiddenGauge truth = randomHidden(shape, 22, {});
    const Gauge residual = RandomGauges(23).next(d);
    moveBoth(files, "a", residual, truth, "b");
    CHECK(functionDifference(files, "a", "b") < 1e-4);
    const HiddenAlignment found = matchHidden(files, "a", "b");
    CHECK(compare(found.hidden, truth).heads == 1);
    moveBoth(files, "a", found.residual.gauge, found.hidden, "moved");
    CHECK(largestDifference(readBack(files, "b"), readBack(files, "moved")) < 1e-5);
}

TEST_CASE("places and signs alone move bytes, exactly", "[hidden]") {
    MemoryFiles files;
    const TinyModel model = randomModel("llama", 31);
    put(files, "a", model);
    const HiddenGauge truth = randomHidden(tiny, 32, {true, false, false, false});
    moveBoth(files, "a", Gauge::identity(d), truth, "b");
    const HiddenAlignment found = matchHidden(files, "a", "b");
    for (const HiddenLayer& layer : found.hidden.layers()) {
        CHECK(layer.neuronScale.empty());
        CHECK(layer.turn.empty());
        CHECK(layer.value.empty());
    }
    CHECK(found.hidden.fingerprint() == truth.fingerprint());
    moveBoth(files, "b", found.residual.gauge.inverse(), found.hidden.inverse(), "back");
    CHECK(files.contents.at("back/model.safetensors").size() == files.contents.at("a/model.safetensors").size());
    CHECK(largestDifference(model.tensors, readBack(files, "back")) == 0);
}

TEST_CASE("of runs that went apart, scales, turns and matrices are found where they are there, and only there",
          "[hidden]") {
    const bool scrambled = GENERATE(false, true);
    const HiddenShape shape{2, 96, 8, 4, 4, 2};
    MemoryFiles files;
    for (const std::uint64_t run : {1, 2}) {
        TinyModel model = randomModel("llama", 71, shape);
        std::uint64_t state = run;
        for (auto& [name, tensor] : model.tensors)  // a common start, and two thirds as much of each run's own
            for (float& value : tensor.value)
                value += static_cast<float>(tensor.shape.size() == 1 ? 0 : 0.2 * gaussian(state));
        put(files, run == 1 ? "a" : "b", model);
    }
    const HiddenGauge truth = randomHidden(shape, 72, scrambled ? Freedom{} : Freedom{true, false, false, false});
    const Gauge residual = RandomGauges(73).next(d);
    moveBoth(files, "b", residual, truth, "c");
    const HiddenAlignment found = matchHidden(files, "a", "c");
    CHECK(found.residual.gauge == residual);
    CHECK(compare(found.hidden, truth).heads == 1);
    for (const HiddenLayer& layer : found.hidden.layers()) {
        CHECK(layer.neuronScale.empty() != scrambled);
        CHECK(layer.turn.empty() != scrambled);
        CHECK(layer.value.empty() != scrambled);
    }
}

TEST_CASE("rounding is fitted by no scale, turn or matrix", "[hidden]") {
    for (std::uint64_t seed = 500; seed < 512; ++seed) {
        MemoryFiles files;
        put(files, "a", randomModel("llama", seed));
        const HiddenGauge truth = randomHidden(tiny, seed + 100, {true, false, false, false});
        moveBoth(files, "a", RandomGauges(seed).next(d), truth, "b");
        CHECK(matchHidden(files, "a", "b").hidden.fingerprint() == truth.fingerprint());
    }
}

TEST_CASE("of grouped units the best of all permutations is chosen", "[hidden]") {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        std::uint64_t state = seed;
        const std::size_t perGroup = 1 + static_cast<std::size_t>(seed % 3), groups = perGroup == 1 ? 5 : 2,
                          n = perGroup * groups;
        UnitScores scores{n, {}, {}};
        for (std::size_t k = 0; k < n * n; ++k) {
            scores.first.push_back(static_cast<float>(2 * uniform(state) - 1));
            scores.second.push_back(static_cast<float>(2 * uniform(state) - 1));
        }
        const auto total = [&](const std::vector<std::uint32_t>& perm) {
            double sum = 0;
            for (std::size_t i = 0; i < n; ++i) sum += scores.total(i, perm[i]);
            return sum;
        };
        std::vector<std::uint32_t> perm(n);
        std::iota(perm.begin(), perm.end(), 0U);
        double best = -INFINITY;
        do {  // brute force: every permutation that keeps groups together
            bool together = true;
            for (std::size_t i = 0; i < n; ++i)
                together = together && perm[i] / perGroup == perm[i / perGroup * perGroup] / perGroup;
            if (together) best = std::max(best, total(perm));
        } while (std::ranges::next_permutation(perm).found);
        CHECK(std::fabs(total(chooseGrouped(scores, 2, perGroup).source) - best) < 1e-5);
        if (perGroup == 1) CHECK(std::fabs(total(chooseUnits(scores, 2).source) - best) < 1e-5);
    }
}

TEST_CASE("independent models have no sure neurons and no sure heads", "[hidden]") {
    MemoryFiles files;
    std::size_t sure = 0;
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        put(files, "a", randomModel("llama", 100 + seed));
        put(files, "b", randomModel("llama", 200 + seed));
        HiddenReport report;
        matchHidden(files, "a", "b", Gauge::identity(d), 1, &report);
        for (const HiddenReport::Layer& layer : report.layers)
            sure += layer.neuronsSure > 0 || layer.headsSure > 0 ? 1 : 0;
        CHECK(report.explained < 0.35);  // the best of many permutations explains some of it
    }
    CHECK(sure == 0);
}

TEST_CASE("the chance of agreeing with the identity is counted exactly", "[hidden]") {
    // All signed permutations of four places: how many keep at least k places and signs.
    const std::size_t n = 4;
    std::vector<std::size_t> count(n + 1, 0), unsignedCount(n + 1, 0);
    std::vector<std::uint32_t> perm(n);
    std::iota(perm.begin(), perm.end(), 0U);
    do {
        std::size_t places = 0;
        for (std::size_t i = 0; i < n; ++i) places += perm[i] == i ? 1 : 0;
        for (std::size_t k = 0; k <= places; ++k) ++unsignedCount[k];
        for (std::size_t signs = 0; signs < 1U << n; ++signs) {
            std::size_t kept = 0;
            for (std::size_t i = 0; i < n; ++i) kept += perm[i] == i && (signs >> i & 1U) == 0 ? 1 : 0;
            for (std::size_t k = 0; k <= kept; ++k) ++count[k];
        }
    } while (std::ranges::next_permutation(perm).found);
    for (std::size_t k = 0; k <= n; ++k) {
        CHECK(std::fabs(log10ChanceOfIdentity(k, n, 2) - std::log10(static_cast<double>(count[k]) / 384)) < 1e-12);
        if (unsignedCount[k] > 0)
            CHECK(std::fabs(log10ChanceOfIdentity(k, n, 1) - std::log10(static_cast<double>(unsignedCount[k]) / 24)) <
                  1e-12);
    }
    // 576 channels all at their places: 1 / (2^576 576!).
    double expected = -576 * std::log10(2.0);
    for (int k = 2; k <= 576; ++k) expected -= std::log10(static_cast<double>(k));
    CHECK(std::fabs(log10ChanceOfIdentity(576, 576, 2) - expected) < 1e-9);
}

TEST_CASE("independent models agree with the identity as often as chance says", "[hidden]") {
    MemoryFiles files;
    std::size_t some = 0, pairs = 200;
    for (std::uint64_t seed = 1; seed <= pairs; ++seed) {
        const HiddenShape shape{1, 12, 2, 1, 8, 4};
        put(files, "a", randomModel("llama", 1000 + seed, shape));
        put(files, "b", randomModel("llama", 5000 + seed, shape));
        HiddenReport report;
        const HiddenGauge found = matchHidden(files, "a", "b", Gauge::identity(d), 1, &report);
        const HiddenLayer& layer = found.layers().front();
        std::size_t kept = 0;
        for (std::size_t i = 0; i < shape.neurons; ++i)
            kept += layer.neurons[i] == i && layer.neuronSign[i] == 1 ? 1 : 0;
        CHECK(report.neuronIdentity.agreeing == kept);
        some += kept > 0 ? 1 : 0;
    }
    // P(at least one) = 1 - e^-1/2 = 0.393; 200 draws of it have a standard deviation of 6.9.
    const double expected = std::pow(10.0, log10ChanceOfIdentity(1, 12, 2)) * static_cast<double>(pairs);
    CHECK(std::fabs(static_cast<double>(some) - expected) < 3 * 6.9);
}

TEST_CASE("a copy that nothing moved is told from an independent model by its places alone", "[hidden]") {
    MemoryFiles files;
    put(files, "a", randomModel("llama", 81));
    TinyModel tuned = randomModel("llama", 81);
    std::uint64_t state = 82;
    for (auto& [name, tensor] : tuned.tensors)
        for (float& value : tensor.value) value += static_cast<float>(0.03 * gaussian(state));
    put(files, "b", tuned);
    put(files, "c", randomModel("llama", 83));
    const HiddenAlignment same = matchHidden(files, "a", "b"), other = matchHidden(files, "a", "c");
    CHECK(same.report.channelIdentity.agreeing == d);
    CHECK(same.report.channelIdentity.log10Chance < -30);
    CHECK(same.report.neuronIdentity.agreeing == tiny.layers * tiny.neurons);
    CHECK(same.report.neuronIdentity.log10Chance < -30);
    CHECK(other.report.channelIdentity.log10Chance > -4);
    CHECK(other.report.neuronIdentity.log10Chance > -4);
    CHECK(same.report.explained > 0.9);
    CHECK(other.report.explained < 0.4);
}

TEST_CASE("the hidden part of a gauge file composes, inverts and is told from another", "[hidden]") {
    const HiddenGauge a = randomHidden(tiny, 41, {}), b = randomHidden(tiny, 42, {});
    CHECK(compare(a.then(a.inverse()), HiddenGauge::identity(tiny)).neurons == 1);
    const Alignment residual = asAlignment(RandomGauges(43).next(d));
    const std::string text = toJson(GaugeFile{residual, a});
    const std::optional<HiddenGauge> read = parseHidden(text, "g.json");
    REQUIRE(read.has_value());
    CHECK(read->fingerprint() == a.fingerprint());
    CHECK(a.fingerprint() != b.fingerprint());
    CHECK(parseGauge(text, "g.json").gauge == residual.gauge);
    CHECK_FALSE(parseHidden(toJson(residual), "g.json").has_value());
    const GaugeFile both = parseGaugeFile(text, "g.json");
    CHECK(toJson(both) == text);

    // Composition acts as one after the other.
    MemoryFiles files;
    put(files, "a", randomModel("llama", 44));
    const Gauge still = Gauge::identity(d);
    moveBoth(files, "a", still, a, "one");
    moveBoth(files, "one", still, b, "two");
    moveBoth(files, "a", still, a.then(b), "both");
    CHECK(largestDifference(readBack(files, "two"), readBack(files, "both")) < 1e-5);

    std::string changed = text;
    const std::size_t first = changed.find("\"neuron_sign\":[") + std::string("\"neuron_sign\":[").size();
    changed[first] == '-' ? changed.erase(first, 1) : changed.insert(first, "-");
    CHECK_THROWS_WITH(parseHidden(changed, "g.json"), ContainsSubstring("fingerprint"));
}

TEST_CASE("families whose hidden freedom is not known are refused by name", "[hidden]") {
    MemoryFiles files;
    TinyModel model = randomModel("llama", 51);
    for (const char* family : {"mixtral", "deepseek_v3", "gpt2", "madeup"}) {
        model.config.replace(model.config.find(':') + 2, model.config.find(',') - model.config.find(':') - 3, family);
        put(files, "a", model);
        CHECK_THROWS_WITH(matchHidden(files, "a", "a"), ContainsSubstring("'" + std::string(family) + "'"));
    }
}

TEST_CASE("a LoRA adapter moves along the hidden axes, and what is not known to move is refused by name", "[hidden]") {
    MemoryFiles files;
    const HiddenGauge hidden = randomHidden(tiny, 61, {});
    const Gauge residual = RandomGauges(62).next(d);
    const TinyModel base = randomModel("llama", 63);
    put(files, "base", base);
    // The merged weight of a moved adapter on a moved model is the moved merged weight.
    std::uint64_t state = 64;
    const std::size_t r = 3;
    std::map<std::string, Tensor> factors;
    TinyModel merged = base;
    for (const std::string module : {"self_attn.v_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"}) {
        const std::string name = "model.layers.1." + module;
        Tensor& weight = merged.tensors.at(name + ".weight");
        const auto out = static_cast<std::size_t>(weight.shape[0]), in = static_cast<std::size_t>(weight.shape[1]);
        Tensor a{{r, in}, {}}, b{{out, r}, {}};
        for (std::size_t k = 0; k < r * in; ++k) a.value.push_back(static_cast<float>(gaussian(state)));
        for (std::size_t k = 0; k < r * out; ++k) b.value.push_back(static_cast<float>(gaussian(state)));
        for (std::size_t i = 0; i < out; ++i)
            for (std::size_t j = 0; j < in; ++j)
                for (std::size_t k = 0; k < r; ++k)
                    weight.value[i * in + j] += b.value[i * r + k] * a.value[k * in + j];
        factors["base_model.model." + name + ".lora_A.weight"] = std::move(a);
        factors["base_model.model." + name + ".lora_B.weight"] = std::move(b);
    }
    const auto putAdapter = [&](const std::string& folder) {
        put(files, folder, {"{}", factors});
        files.contents.erase(folder + "/config.json");
        files.contents[folder + "/adapter_model.safetensors"] = files.contents.at(folder + "/model.safetensors");
        files.contents.erase(folder + "/model.safetensors");
        files.put(folder + "/adapter_config.json",
                  R"({"peft_type":"LORA","r":3,"lora_alpha":3,"base_model_name_or_path":"llama-test"})");
    };
    putAdapter("adapter");
    put(files, "merged", merged);
    moveBoth(files, "merged", residual, hidden, "merged-moved");
    moveBoth(files, "base", residual, hidden, "base-moved");
    moveBoth(files, "adapter", residual, hidden, "adapter-moved");
    files.contents["view/model.safetensors"] = files.contents.at("adapter-moved/adapter_model.safetensors");
    const Tensors wanted = readBack(files, "merged-moved"), moved = readBack(files, "view");
    Tensors got = readBack(files, "base-moved");
    for (auto& [name, weight] : got) {
        const std::string module = "base_model.model." + name.substr(0, name.rfind(".weight"));
        if (!moved.contains(module + ".lora_A.weight")) continue;
        const Tensor &a = moved.at(module + ".lora_A.weight"), &b = moved.at(module + ".lora_B.weight");
        const auto out = static_cast<std::size_t>(weight.shape[0]), in = static_cast<std::size_t>(weight.shape[1]);
        for (std::size_t i = 0; i < out; ++i)
            for (std::size_t j = 0; j < in; ++j)
                for (std::size_t k = 0; k < r; ++k)
                    weight.value[i * in + j] += b.value[i * r + k] * a.value[k * in + j];
    }
    CHECK(largestDifference(wanted, got) < 2e-5);

    factors["base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector"] = {
        {tiny.neurons}, std::vector<float>(tiny.neurons, 1.0F)};
    putAdapter("dora");
    CHECK_THROWS_WITH(moveBoth(files, "dora", residual, hidden, "dora-moved"),
                      ContainsSubstring("lora_magnitude_vector") && ContainsSubstring("hidden axis"));
}

TEST_CASE("scrambled copies of one model merge into it", "[hidden]") {
    MemoryFiles files;
    const TinyModel model = randomModel("qwen2", 71);
    put(files, "a", model);
    moveBoth(files, "a", RandomGauges(72).next(d), randomHidden(tiny, 73, {}), "b");
    const HiddenAlignment found = matchHidden(files, "b", "a");
    const std::unique_ptr<Files> moved = movedHidden(files, found.hidden, "b");
    merge(*moved, "a", "b", found.residual, "merged");
    CHECK(largestDifference(model.tensors, readBack(files, "merged")) < 1e-5);
}

TEST_CASE("numbers of a hidden part that cannot be are refused, with what they may be", "[hidden]") {
    const std::string text = toJson(GaugeFile{asAlignment(Gauge::identity(d)), HiddenGauge::identity(tiny)});
    const auto with = [&](const std::string& key, const std::string& value) {
        std::string changed = text;
        const std::size_t hidden = changed.find("\"hidden\":"),
                          first = changed.find("\"" + key + "\":", hidden) + key.size() + 3,
                          begin = first + (changed[first] == '[' ? 1 : 0);
        return changed.replace(begin, changed.find_first_of(",]}", begin) - begin, value);
    };
    CHECK(parseHidden(text, "g.json").has_value());
    for (const char* key : {"head_dim", "rope_pairs"})
        for (const char* value : {"4097", "65536", "16777216", "18446744073709551615", "-1", "1.5"})
            CHECK_THROWS_WITH(parseHidden(with(key, value), "g.json"),
                              ContainsSubstring(key) && ContainsSubstring("from 0 to 4096"));
    // As unsigned numbers of 64 bits, -1 and 0.
    for (const char* value : {"18446744073709551615", "18446744073709551616"})
        CHECK_THROWS_WITH(parseHidden(with("neuron_sign", value), "g.json"),
                          ContainsSubstring("neuron_sign") && ContainsSubstring("from -1 to 1"));
}

TEST_CASE("scores of another length than their units are refused", "[hidden]") {
    for (std::vector<double> HiddenScores::*list :
         {&HiddenScores::score, &HiddenScores::margin, &HiddenScores::confidence})
        for (HiddenScores HiddenLayer::*kind : {&HiddenLayer::neuronScores, &HiddenLayer::headScores}) {
            std::vector<HiddenLayer> layers = HiddenGauge::identity(tiny).layers();
            const std::size_t units = kind == &HiddenLayer::headScores ? tiny.heads : tiny.neurons;
            layers[1].*kind.*list = std::vector<double>(units, 0.5);
            CHECK_NOTHROW(HiddenGauge(tiny, layers));
            (layers[1].*kind.*list).pop_back();
            CHECK_THROWS_WITH(HiddenGauge(tiny, layers), ContainsSubstring("hidden layer 1: its scores must hold"));
        }
}

TEST_CASE("without signs in the residual group their absence is no evidence", "[hidden]") {
    MemoryFiles files;
    put(files, "a", randomModel("llama", 91));
    put(files, "b", randomModel("llama", 91));
    for (const Group group : {Group::signedPermutation, Group::permutation}) {
        MatchOptions options;
        options.group = group;
        const HiddenReport::Identity identity = matchHidden(files, "a", "b", options).report.channelIdentity;
        CHECK(identity.agreeing == d);
        // 1 / 32!, and 1 / 2^32 for the signs.
        const double chance =
            (std::lgamma(33.0) + (group == Group::permutation ? 0 : 32 * std::log(2.0))) / std::log(10.0);
        CHECK(std::fabs(identity.log10Chance + chance) < 1e-9);
    }
}

TEST_CASE("models of different architectures are refused before anything is matched", "[hidden]") {
    MemoryFiles files;
    put(files, "a", randomModel("llama", 92));
    put(files, "b", randomModel("llama", 92, {2, 24, 4, 4, 8, 4}));
    bool matched = false;
    const Progress progress([&](std::string_view, std::uint64_t, std::uint64_t) { return matched = true; });
    CHECK_THROWS_WITH(matchHidden(files, "a", "b", {}, progress), ContainsSubstring("of one architecture"));
    CHECK_FALSE(matched);
}

TEST_CASE("layers without units have no confidences", "[hidden]") {
    const Chosen none;
    CHECK(confidences({&none, &none}) == std::vector<std::vector<double>>(2));
}

TEST_CASE("only the files of an object move: of an index its shards, of a folder what lies in it", "[hidden]") {
    MemoryFiles files;
    put(files, "x", randomModel("llama", 93));
    const std::string index = R"({"weight_map":{"model.norm.weight":"b.safetensors"}})";
    for (const char* folder : {"", "m/", "m/a/"})
        for (const char* name : {"a.safetensors", "b.safetensors"})
            files.contents[std::string(folder) + name] = files.contents.at("x/model.safetensors");
    files.put("b.safetensors.index.json", index);
    files.put("m/b.safetensors.index.json", index);
    const HiddenGauge hidden = randomHidden(tiny, 94, {});
    const auto movedOf = [&](const std::string& object) {
        const std::unique_ptr<Files> moved = movedHidden(files, hidden, object);
        std::vector<std::string> paths;
        for (const auto& [path, bytes] : files.contents) {
            const std::unique_ptr<ByteSource> source = moved->open(path);
            Bytes now(static_cast<std::size_t>(source->size()));
            source->read(0, now);
            if (now != bytes) paths.push_back(path);
        }
        return paths;
    };
    using Paths = std::vector<std::string>;
    CHECK(movedOf("b.safetensors.index.json") == Paths{"b.safetensors"});
    CHECK(movedOf("m/b.safetensors.index.json") == Paths{"m/b.safetensors"});
    CHECK(movedOf("m/a.safetensors") == Paths{"m/a.safetensors"});
    CHECK(movedOf("x") == Paths{"x/model.safetensors"});

    const std::unique_ptr<Files> moved = movedHidden(files, hidden, "x");
    std::vector<std::byte> two(2);
    CHECK_THROWS_WITH(moved->open("x/model.safetensors")->read(UINT64_MAX, two), ContainsSubstring("ends at byte"));
}

TEST_CASE("a hidden gauge of more numbers than other JSON may hold is read again", "[hidden]") {
    const HiddenShape wide{1, 1'700'000, 1, 1, 0, 0};  // five lists of neurons: 8.5 million numbers
    std::vector<HiddenLayer> layers = HiddenGauge::identity(wide).layers();
    for (auto* list :
         {&layers[0].neuronScores.score, &layers[0].neuronScores.margin, &layers[0].neuronScores.confidence})
        list->assign(wide.neurons, 0.5);
    const HiddenGauge gauge(wide, std::move(layers));
    Alignment residual;
    residual.gauge = Gauge::identity(2);
    const std::string text = toJson(GaugeFile{residual, gauge});
    REQUIRE(std::ranges::count(text, ',') > 8 << 20);
    CHECK(parseHidden(text, "it")->fingerprint() == gauge.fingerprint());
    CHECK(parseGauge(text, "it").gauge == residual.gauge);
}

TEST_CASE("models whose gauge file could not be read again are refused before they are matched", "[hidden]") {
    const HiddenShape largest{80, 22016, 64, 64, 128, 64};  // 70 billion parameters, a key for every query
    CHECK_NOTHROW(requireReadable(largest, "it"));
    HiddenShape larger = largest;
    larger.layers = 120;
    CHECK_THROWS_WITH(requireReadable(larger, "it"), ContainsSubstring("143 million numbers"));
}

#include "regauge/transport.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <fstream>
#include <iterator>

#include "refusal.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

void load(MemoryFiles& files, const std::string& path, const std::string& as) {
    std::ifstream in(std::string(REGAUGE_TEST_DATA) + "/" + path, std::ios::binary);
    REQUIRE(in);
    files.put(as, std::string(std::istreambuf_iterator<char>(in), {}));
}

ErrorCode codeOf(MemoryFiles& files, const std::string& object, const Alignment& gauge,
                 const TransportOptions& options = {}) {
    const Refusal refusal = requireRefusal([&] { transport(files, object, gauge, "refused", options); });
    INFO(refusal);
    CHECK_FALSE(files.exists("refused"));
    return refusal.code;
}

// Moves there and back; the input must come back byte for byte, and the way there must not be the identity.
void checkRoundTrip(MemoryFiles& files, const std::string& object, const Gauge& gauge,
                    const TransportOptions& options = {}) {
    transport(files, object, alignmentOf(gauge), "there", options);
    transport(files, "there", alignmentOf(gauge.inverse()), "back", options);
    CHECK(files.below(object) == files.below("back"));
    CHECK(files.below(object) != files.below("there"));
    std::erase_if(files.contents,
                  [](const auto& file) { return file.first.starts_with("there") || file.first.starts_with("back"); });
}

constexpr std::size_t d = 8, F = 20;

std::vector<Array> saelensArrays(const std::string& architecture) {
    std::vector<Array> arrays{randomArray("W_enc", {d, F}, 1), randomArray("W_dec", {F, d}, 2),
                              randomArray("b_dec", {d}, 3)};
    if (architecture == "gated")
        for (const char* name : {"b_gate", "b_mag", "r_mag"}) arrays.push_back(randomArray(name, {F}, 4));
    else
        arrays.push_back(randomArray("b_enc", {F}, 5));
    if (architecture.starts_with("jumprelu")) arrays.push_back(randomArray("threshold", {F}, 6));
    if (architecture.find("skip") != std::string::npos) arrays.push_back(randomArray("W_skip", {d, d}, 7));
    return arrays;
}

void putSae(MemoryFiles& files, const std::string& folder, const std::string& architecture,
            const std::string& more = "") {
    files.put(folder + "/sae_weights.safetensors", safetensors(saelensArrays(architecture)));
    files.put(folder + "/cfg.json", "{\n \"architecture\": \"" + architecture +
                                        "\",\n \"d_in\": 8, \"d_sae\": 20, \"k\": 4" + more + "\n}\n");
}

}  // namespace

TEST_CASE("a vector moves as y[i] = sign[i] * x[perm[i]], and comes back byte for byte") {
    MemoryFiles files;
    const Gauge gauge = randomGauge(d, 1);
    const Array vector = randomArray("v", {d}, 2), matrix = randomArray("m", {d, d}, 3);
    files.put("v.safetensors", safetensors({vector}));
    files.put("m.safetensors", safetensors({matrix}));
    transport(files, "v.safetensors", alignmentOf(gauge), "v2");
    CHECK(arrayIn(files, "v2", "v").values == movedAxis(vector, gauge, 0).values);
    transport(files, "m.safetensors", alignmentOf(gauge), "m2");
    CHECK(arrayIn(files, "m2", "m").values == movedAxis(matrix, gauge, 1).values);  // the last axis, square or not
    checkRoundTrip(files, "v.safetensors", gauge);
    checkRoundTrip(files, "m.safetensors", gauge);
}

TEST_CASE("every .npy comes back byte for byte, whatever its dtype, order and endianness") {
    const auto name =
        GENERATE("c_order.npy", "fortran_order.npy", "f16.npy", "f64.npy", "big_endian.npy", "three_d.npy");
    MemoryFiles files;
    load(files, std::string("fixtures/") + name, name);
    checkRoundTrip(files, name, randomGauge(16, 4));
}

TEST_CASE("an .npy in either order and endianness holds the same numbers after the move") {
    MemoryFiles files;
    const Gauge gauge = randomGauge(16, 5);
    for (const char* name : {"c_order.npy", "fortran_order.npy", "big_endian.npy"}) {
        load(files, std::string("fixtures/") + name, name);
        transport(files, name, alignmentOf(gauge), std::string("moved_") + name);
    }
    const Array c = movedAxis(arrayIn(files, "c_order.npy", "array"), gauge, 1);
    CHECK(arrayIn(files, "moved_c_order.npy", "array").values == c.values);
    const Array f = arrayIn(files, "moved_fortran_order.npy", "array");
    const Array big = arrayIn(files, "moved_big_endian.npy", "array");
    for (std::size_t row = 0; row < 7; ++row)
        for (std::size_t i = 0; i < 16; ++i) {
            CHECK(f.values[i * 7 + row] == c.values[row * 16 + i]);
            std::uint32_t bits = 0;
            std::memcpy(&bits, &big.values[row * 16 + i], 4);
            bits = __builtin_bswap32(bits);
            float value = 0;
            std::memcpy(&value, &bits, 4);
            CHECK(value == c.values[row * 16 + i]);
        }
}

TEST_CASE("activations are odd, gains even, tokens stay") {
    MemoryFiles files;
    const Gauge gauge = randomGauge(d, 6);
    const Array rows = randomArray("activations/resid.0", {3, 2, d}, 1), gains = randomArray("gains/final", {d}, 2),
                tokens = randomArray("token_ids", {6}, 3);
    files.put("e.safetensors", safetensors({rows, gains, tokens}, "\"__metadata__\":{\"rows\":\"6\"}"));
    const Plan plan = transport(files, "e.safetensors", alignmentOf(gauge), "moved");
    CHECK(plan.kind == "activations");
    CHECK(plan.d == d);
    CHECK(arrayIn(files, "moved", rows.name).values == movedAxis(rows, gauge, 2).values);
    CHECK(arrayIn(files, "moved", gains.name).values == movedAxis(gains, gauge, 0, false).values);
    CHECK(arrayIn(files, "moved", tokens.name).values == tokens.values);
    checkRoundTrip(files, "e.safetensors", gauge);
}

TEST_CASE("every SAELens architecture moves by its table and comes back, configuration and all") {
    const auto architecture = GENERATE(as<std::string>(), "standard", "topk", "jumprelu", "gated", "batchtopk",
                                       "transcoder", "skip_transcoder");
    MemoryFiles files;
    const Gauge gauge = randomGauge(d, 7);
    putSae(files, "sae", architecture, ", \"metadata\": {\"hook_name\": \"blocks.1.hook_resid_post\"}");
    files.put("sae/notes.txt", "by hand");
    transport(files, "sae", alignmentOf(gauge), "moved");
    for (const Array& array : saelensArrays(architecture)) {
        Array expected = array;
        if (array.name == "W_enc" || array.name == "b_dec") expected = movedAxis(array, gauge, 0);
        if (array.name == "W_dec") expected = movedAxis(array, gauge, 1);
        if (array.name == "W_skip") expected = movedAxis(movedAxis(array, gauge, 0), gauge, 1);
        INFO(array.name);
        CHECK(arrayIn(files, "moved/sae_weights.safetensors", array.name).values == expected.values);
    }
    CHECK(files.text("moved/notes.txt") == "by hand");
    CHECK_THAT(files.text("moved/cfg.json"),
               ContainsSubstring("\"hook_name\": \"blocks.1.hook_resid_post\",\"regauge_gauges\":\"" +
                                 gauge.fingerprint() + "\"}"));
    CHECK_THAT(files.text("moved/sae_weights.safetensors"), ContainsSubstring(gauge.fingerprint()));
    checkRoundTrip(files, "sae", gauge);
}

TEST_CASE("an object remembers every gauge that moved it, and forgets the ones that were undone") {
    MemoryFiles files;
    const Gauge a = randomGauge(d, 8), b = randomGauge(d, 9);
    files.put("v", safetensors({randomArray("v", {d}, 2)}));
    transport(files, "v", alignmentOf(a), "v1");
    transport(files, "v1", alignmentOf(b), "v2");
    CHECK(openTensorFile(files.open("v2")).metadata.front().second == a.fingerprint() + "," + b.fingerprint());
    transport(files, "v2", alignmentOf(b.inverse()), "v3");
    CHECK(files.text("v3") == files.text("v1"));
    transport(files, "v3", alignmentOf(a.inverse()), "v4");
    CHECK(files.text("v4") == files.text("v"));
    transport(files, "v", alignmentOf(Gauge::identity(d)), "same");
    CHECK(files.text("same") == files.text("v"));
}

TEST_CASE("tensors larger than a block move as small ones do") {
    MemoryFiles files;
    const std::size_t width = 64;
    const Gauge gauge = randomGauge(width, 10);
    const Array rows = randomArray("activations/last", {30000, width}, 1);  // 7.7 MB: blocks of rows
    files.put("rows", safetensors({rows}));
    transport(files, "rows", alignmentOf(gauge), "moved");
    CHECK(arrayIn(files, "moved", rows.name).values == movedAxis(rows, gauge, 1).values);
    files.put("sae/sae_weights.safetensors",
              safetensors({randomArray("W_enc", {width, 30000}, 2), randomArray("W_dec", {30000, width}, 3)}));
    files.put("sae/cfg.json", R"({"d_in": 64, "d_sae": 30000})");
    transport(files, "sae", alignmentOf(gauge), "sae2");
    CHECK(arrayIn(files, "sae2/sae_weights.safetensors", "W_enc").values ==
          movedAxis(randomArray("W_enc", {width, 30000}, 2), gauge, 0).values);
    checkRoundTrip(files, "sae", gauge);
}

TEST_CASE("what cannot be moved is refused by its own code, and nothing is left behind") {
    MemoryFiles files;
    const Alignment gauge = alignmentOf(randomGauge(d, 11));
    const auto refused = [&](const std::string& object, const TransportOptions& options = {}) {
        return codeOf(files, object, gauge, options);
    };

    CHECK(refused("nowhere") == ErrorCode::missingFile);
    files.put("wide.safetensors", safetensors({randomArray("v", {d + 1}, 1)}));
    CHECK(refused("wide.safetensors") == ErrorCode::dimensionMismatch);
    files.put("two.safetensors", safetensors({randomArray("resid", {d}, 1), randomArray("else", {d}, 2)}));
    CHECK(refused("two.safetensors") == ErrorCode::unknownTensor);
    TransportOptions kind;
    kind.kind = "nonsense";
    CHECK(refused("two.safetensors", kind) == ErrorCode::usage);

    putSae(files, "norm", "topk", ", \"normalize_activations\": \"layer_norm\"");
    CHECK(refused("norm") == ErrorCode::unsupported);
    putSae(files, "z", "topk", ", \"metadata\": {\"hook_name\": \"blocks.3.attn.hook_z\"}");
    CHECK(refused("z") == ErrorCode::unsupported);
    putSae(files, "old_z", "topk", ", \"hook_point\": \"blocks.3.attn.hook_z\"");
    CHECK(refused("old_z") == ErrorCode::unsupported);
    putSae(files, "mlp", "topk", ", \"hook_name\": \"blocks.3.mlp.hook_post\"");
    CHECK(refused("mlp") == ErrorCode::unsupported);
    putSae(files, "reshaped", "topk", ", \"reshape_activations\": \"hook_z\"");
    CHECK(refused("reshaped") == ErrorCode::unsupported);
    putSae(files, "new", "temporal");
    CHECK(refused("new") == ErrorCode::unsupported);
    putSae(files, "lying", "topk");
    files.put("lying/cfg.json", R"({"d_in": 8, "d_sae": 21})");
    CHECK(refused("lying") == ErrorCode::shapeMismatch);
    files.put("part/sae_weights.safetensors", safetensors({randomArray("W_enc", {d, F}, 1)}));
    files.put("part/cfg.json", R"({"d_in": 8, "d_sae": 20})");
    CHECK(refused("part") == ErrorCode::unsupported);

    putSae(files, "sae", "topk");
    CHECK(refused("sae/cfg.json") == ErrorCode::malformed);
    files.put("taken", "something");
    CHECK(codeOf([&] { transport(files, "sae", gauge, "taken"); }) == ErrorCode::outputExists);
    CHECK(files.text("taken") == "something");
    CHECK(codeOf([&] { transport(files, "sae", gauge, "sae/"); }) == ErrorCode::usage);
    files.writableBytes = 100;
    CHECK(refused("sae") == ErrorCode::writeFailed);
    files.writableBytes = SIZE_MAX;

    Alignment unrelated = gauge;
    unrelated.verdict = Verdict::unrelated;
    CHECK(codeOf(files, "sae", unrelated) == ErrorCode::unrelated);
    TransportOptions force;
    force.force = true;
    CHECK_NOTHROW(transport(files, "sae", unrelated, "forced", force));
    std::vector<std::int8_t> signs = gauge.gauge.sign();
    signs[3] = 0;
    CHECK(codeOf(files, "sae", alignmentOf(Gauge(gauge.gauge.perm(), signs))) == ErrorCode::undeterminedSign);
    files.put("gains", safetensors({randomArray("gains/final", {d}, 1)}));
    CHECK_NOTHROW(
        transport(files, "gains", alignmentOf(Gauge(gauge.gauge.perm(), signs)), "gains2"));  // gains need no sign
}

TEST_CASE("where a mean is subtracted, a permutation and the one global sign still move") {
    MemoryFiles files;
    putSae(files, "norm", "topk", ", \"normalize_activations\": \"layer_norm\"");
    const Gauge gauge = randomGauge(d, 12);
    const auto uniform = [&](std::int8_t sign) {
        return alignmentOf(Gauge(gauge.perm(), std::vector<std::int8_t>(d, sign)));
    };
    CHECK(transport(files, "norm", uniform(1), "plus").permutationOnly);
    CHECK_NOTHROW(transport(files, "norm", uniform(-1), "minus"));
    CHECK(codeOf(files, "norm", uniform(0)) == ErrorCode::undeterminedSign);
}

TEST_CASE("a dry run refuses what the run refuses, says what it would do, and writes nothing") {
    MemoryFiles files;
    putSae(files, "norm", "topk", ", \"normalize_activations\": \"layer_norm\"");
    putSae(files, "sae", "topk", "");
    files.put("list", R"({"top_positive": [1, 2, 3]})");
    const Alignment gauge = alignmentOf(randomGauge(d, 12));
    Alignment unrelated = gauge;
    unrelated.verdict = Verdict::unrelated;
    TransportOptions dry;
    dry.dryRun = true;
    const auto before = files.contents;
    for (const auto& [object, by] : {std::pair<std::string, Alignment>("norm", gauge),
                                     {"list", gauge},
                                     {"sae", gauge},
                                     {"sae", unrelated},
                                     {"sae", alignmentOf(randomGauge(d + 1, 1))}}) {
        INFO(object);
        const auto run = [&](const TransportOptions& options) {
            MemoryFiles copy = files;
            return outcomeOf([&] { transport(copy, object, by, "moved", options); });
        };
        CHECK(run(dry) == run({}));
    }
    CHECK(transport(files, "sae", gauge, "", dry).moves.size() == 4);
    CHECK(files.contents == before);
}

TEST_CASE("the sample's SAE and vector move into the target's coordinates and back") {
    MemoryFiles files;
    for (const char* name : {"cfg.json", "expected.json", "sae_weights.safetensors"})
        load(files, std::string("shakespeare-d128/source/sae_resid2/") + name, std::string("sae/") + name);
    load(files, "shakespeare-d128/source/steering_resid2.npy", "steering.npy");
    load(files, "shakespeare-d128/source/evidence.safetensors", "evidence.safetensors");
    const Plan plan = planTransport(files, "sae");
    CHECK(plan.kind == "saelens");
    CHECK(plan.d == 128);
    CHECK_THAT(plan.description, ContainsSubstring("topk, 512 latents, hook blocks.1.hook_resid_post"));
    for (const char* object : {"sae", "steering.npy", "evidence.safetensors"})
        checkRoundTrip(files, object, randomGauge(128, 13));
}

TEST_CASE("every tensor fixture moves by its recipe and comes back byte for byte") {
    const auto name =
        GENERATE(as<std::string>(), "steering_bare.pt", "steering_by_layer.pt", "mean_diffs_bf16.pt", "ae.pt",
                 "nested_checkpoint.pt", "optimizer_model.pt", "gemma_scope/params.npz", "control_vector.gguf");
    INFO(name);
    MemoryFiles files;
    load(files, "fixtures/" + name, name);
    checkRoundTrip(files, name, randomGauge(16, 14));
}

TEST_CASE("optimizer state that numbers its parameters is named by the model beside it, and refused without") {
    MemoryFiles files;
    const Gauge gauge = randomGauge(16, 15);
    load(files, "fixtures/optimizer.pt", "o/optimizer.pt");
    CHECK(codeOf(files, "o/optimizer.pt", alignmentOf(gauge)) == ErrorCode::unsupported);
    load(files, "fixtures/optimizer_model.pt", "o/pytorch_model.bin");
    transport(files, "o/optimizer.pt", alignmentOf(gauge), "moved");
    const auto both = [&](const std::string& tensor) {
        return std::pair(arrayIn(files, "o/optimizer.pt", tensor), arrayIn(files, "moved", tensor));
    };
    const auto [first, firstMoved] = both("state.0.exp_avg");  // embed_tokens [20, 16]
    CHECK(firstMoved.values == movedAxis(first, gauge, 1).values);
    const auto [second, secondMoved] = both("state.0.exp_avg_sq");
    CHECK(secondMoved.values == movedAxis(second, gauge, 1, false).values);
    const auto [writer, writerMoved] = both("state.4.exp_avg");  // o_proj [16, 16]
    CHECK(writerMoved.values == movedAxis(writer, gauge, 0).values);
    const auto [gain, gainMoved] = both("state.8.exp_avg");  // a gain's moments have no signs
    CHECK(gainMoved.values == movedAxis(gain, gauge, 0, false).values);
    // A training checkpoint's folder moves whole, its optimizer with it.
    files.put("o/config.json", R"({"model_type": "llama", "hidden_size": 16})");
    files.put("o/scheduler.pt", "no tensors of the model");
    transport(files, "o", alignmentOf(gauge), "whole");
    CHECK(files.text("whole/optimizer.pt") == files.text("moved"));
    CHECK(files.text("whole/scheduler.pt") == files.text("o/scheduler.pt"));
    checkRoundTrip(files, "o", gauge);
}

TEST_CASE("a deflated .npz is written anew, with the same numbers when it comes back") {
    MemoryFiles files;
    const Gauge gauge = randomGauge(16, 16);
    load(files, "fixtures/compressed.npz", "a.npz");
    transport(files, "a.npz", alignmentOf(gauge), "b.npz");
    transport(files, "b.npz", alignmentOf(gauge.inverse()), "c.npz");
    CHECK(arrayIn(files, "b.npz", "a").values == movedAxis(arrayIn(files, "a.npz", "a"), gauge, 1).values);
    CHECK(arrayIn(files, "c.npz", "a").values == arrayIn(files, "a.npz", "a").values);
}

TEST_CASE("lists of channels move by j -> perm^-1[j], and values turn with their channel") {
    MemoryFiles files;
    const Gauge gauge({1, 2, 3, 0}, {-1, 1, 1, -1});  // channel 0 -> 3 (turned), 1 -> 0 (turned), 2 -> 1, 3 -> 2
    const auto moved = [&](const std::string& text, const TransportOptions& options = {}) {
        files.put("list", text);
        transport(files, "list", alignmentOf(gauge), "moved", options);
        const std::string result = files.text("moved");
        transport(files, "moved", alignmentOf(gauge.inverse()), "back", options);
        CHECK(files.text("back") == text);
        files.contents.erase("moved");
        files.contents.erase("back");
        return result;
    };
    CHECK(moved("[0, 2]") == "[3, 1]");
    CHECK(moved(R"({"layer": 7, "neurons": [3, 0], "values": [1.5, -2e1], "rank": [1, 2]})") ==
          R"({"layer": 7, "neurons": [2, 3], "values": [1.5, 2e1], "rank": [1, 2]})");
    CHECK(moved(R"([{"neuron": 1, "polarity": "+"}, {"neuron": 2, "polarity": "-", "attribution": -3}])") ==
          R"([{"neuron": 0, "polarity": "-"}, {"neuron": 1, "polarity": "-", "attribution": -3}])");
    CHECK(moved(R"({"5": [0], "6": [1, 2]})") == R"({"5": [3], "6": [0, 1]})");
    CHECK(moved("neuron,value,label\n1,0.5,\"a,b\"\r\n2,-1,c\n") == "neuron,value,label\n0,-0.5,\"a,b\"\r\n1,-1,c\n");
    CHECK(moved("layer\tchannel\n3\t0\n") == "layer\tchannel\n3\t3\n");
    CHECK(moved(R"({"top_positive": [2, 3]})") == R"({"top_positive": [1, 2]})");
    CHECK(moved(R"({"positive": {"neurons": [2, 3]}})") == R"({"positive": {"neurons": [1, 2]}})");
    CHECK(moved(R"({"polarity": "+", "neurons": [0]})") == R"({"polarity": "-", "neurons": [3]})");
    CHECK(moved(R"({"polarity": "+", "neurons": [2, 3]})") == R"({"polarity": "+", "neurons": [1, 2]})");

    const auto refused = [&](const std::string& text) {
        files.put("list", text);
        return codeOf(files, "list", alignmentOf(gauge));
    };
    CHECK(refused(R"({"top_positive": [1]})") == ErrorCode::unsupported);
    CHECK(refused(R"({"positive": {"neurons": [2, 1]}, "negative": {"neurons": [3]}})") == ErrorCode::unsupported);
    for (const std::string one : {R"("polarity": "positive")", R"("sign": "+")", R"("value": 0.5)"}) {
        INFO(one);  // of all channels, of which one changes sign
        CHECK(refused("{" + one + R"(, "neurons": [2, 1]})") == ErrorCode::unsupported);
    }
    const Gauge open({1, 2, 3, 0}, {1, 0, 1, 1});  // the sign of channel 2 is not known
    for (const std::string text : {R"({"top_positive": [2]})", R"({"value": 0.5, "neurons": [2, 3]})"}) {
        INFO(text);
        files.put("list", text);
        CHECK(codeOf(files, "list", alignmentOf(open)) == ErrorCode::undeterminedSign);
    }
    CHECK(refused(R"({"neurons": [1], "score": [2]})") == ErrorCode::unknownTensor);
    CHECK(refused(R"({"neurons": [4]})") == ErrorCode::dimensionMismatch);
    CHECK(refused(R"({"neurons": [-1]})") == ErrorCode::malformed);
    CHECK(refused("[0, 1, 2, 3]") == ErrorCode::ambiguous);
    CHECK(refused("neuron,value\n1\n") == ErrorCode::malformed);
}

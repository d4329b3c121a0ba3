#include "regauge/merge.hpp"

#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/float_blocks.hpp"
#include "native_files.hpp"
#include "refusal.hpp"
#include "regauge/model.hpp"
#include "regauge/transport.hpp"
#include "scratch.hpp"
#include "transport/moved_source.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

const std::string sample = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/";
constexpr std::size_t d = 6;

// A one-layer Llama whose numbers are drawn from `seed`.
std::vector<Array> llama(unsigned seed) {
    std::vector<Array> arrays;
    const auto add = [&](const std::string& name, const Shape& shape) {
        arrays.push_back(randomArray(name, shape, seed * 100 + static_cast<unsigned>(arrays.size())));
    };
    add("model.embed_tokens.weight", {7, d});
    for (const char* projection : {"q", "k", "v"})
        add("model.layers.0.self_attn." + std::string(projection) + "_proj.weight", {4, d});
    add("model.layers.0.self_attn.o_proj.weight", {d, 4});
    for (const char* projection : {"gate", "up"})
        add("model.layers.0.mlp." + std::string(projection) + "_proj.weight", {5, d});
    add("model.layers.0.mlp.down_proj.weight", {d, 5});
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
        add("model.layers.0." + std::string(norm) + ".weight", {d});
    add("model.norm.weight", {d});
    return arrays;
}

void put(MemoryFiles& files, const std::string& folder, const std::vector<Array>& arrays) {
    files.put(folder + "/config.json", R"({"model_type":"llama","hidden_size":6})");
    files.put(folder + "/model.safetensors", safetensors(arrays, R"("__metadata__":{"format":"pt"})"));
}

// A residual axis by the definition: the last of what reads, the first of what writes; gains without signs.
Array movedByHand(const Array& array, const Gauge& gauge) {
    const bool writes = array.name.ends_with("o_proj.weight") || array.name.ends_with("down_proj.weight");
    return movedAxis(array, gauge, writes || array.shape.size() == 1 ? 0 : 1, array.shape.size() != 1);
}

}  // namespace

TEST_CASE("a linear merge is the weighted average of A and moved B, element by element") {
    MemoryFiles files;
    const std::vector<Array> a = llama(1), b = llama(2);
    put(files, "a", a), put(files, "b", b);
    const Gauge gauge = randomGauge(d, 3);
    MergeOptions options;
    options.weight = 0.3;
    const MergeReport report = merge(files, "a", "b", alignmentOf(gauge), "out", options);
    CHECK(report.averaged == a.size());
    CHECK(report.equal == 0);
    for (std::size_t k = 0; k < a.size(); ++k) {
        const Array merged = arrayIn(files, "out/model.safetensors", a[k].name), moved = movedByHand(b[k], gauge);
        INFO(a[k].name);
        for (std::size_t i = 0; i < merged.values.size(); ++i)
            CHECK(merged.values[i] == static_cast<float>((1 - 0.3) * static_cast<double>(a[k].values[i]) +
                                                         0.3 * static_cast<double>(moved.values[i])));
    }
    CHECK(files.text("out/config.json") == files.text("a/config.json"));
    CHECK_THAT(files.text("out/model.safetensors"), ContainsSubstring("regauge.merge") &&
                                                        ContainsSubstring(gauge.fingerprint()) &&
                                                        ContainsSubstring("linear"));
}

TEST_CASE("a task-vector merge adds what B has more than its base, each moved by its own gauge") {
    MemoryFiles files;
    const std::vector<Array> a = llama(1), b = llama(2), base = llama(4);
    put(files, "a", a), put(files, "b", b), put(files, "base", base);
    const Gauge gauge = randomGauge(d, 3), baseGauge = randomGauge(d, 5);
    for (const bool moveBase : {false, true}) {
        MergeOptions options;
        options.weight = 0.7;
        options.base = "base";
        if (moveBase) options.baseGauge = alignmentOf(baseGauge);
        const std::string out = moveBase ? "moved" : "plain";
        CHECK(merge(files, "a", "b", alignmentOf(gauge), out, options).taskVector);
        for (std::size_t k = 0; k < a.size(); ++k) {
            const Array merged = arrayIn(files, out + "/model.safetensors", a[k].name),
                        moved = movedByHand(b[k], gauge);
            const Array from = moveBase ? movedByHand(base[k], baseGauge) : base[k];
            for (std::size_t i = 0; i < merged.values.size(); ++i)
                CHECK(merged.values[i] == static_cast<float>(static_cast<double>(a[k].values[i]) +
                                                             0.7 * (static_cast<double>(moved.values[i]) -
                                                                    static_cast<double>(from.values[i]))));
        }
        CHECK_THAT(files.text(out + "/model.safetensors"), ContainsSubstring("task-vector"));
    }
}

TEST_CASE("a weight of 0 gives A byte for byte, and a weight of 1 moved B") {
    MemoryFiles files;
    put(files, "a", llama(1)), put(files, "b", llama(2));
    const Gauge gauge = randomGauge(d, 3);
    MergeOptions options;
    options.weight = 0;
    merge(files, "a", "b", alignmentOf(gauge), "zero", options);
    CHECK(files.below("zero") == files.below("a"));
    options.weight = 1;
    merge(files, "a", "b", alignmentOf(gauge), "one", options);
    for (const Array& array : llama(2))
        CHECK(arrayIn(files, "one/model.safetensors", array.name).values == movedByHand(array, gauge).values);
}

TEST_CASE("a model merged with its own moved copy is the model, and computes the same function") {
    NativeFiles files;
    const test::Scratch folder;
    const std::string moved = folder / "moved", merged = folder / "merged", unmoved = folder / "unmoved";
    const Gauge gauge = randomGauge(128, 7);
    transport(files, sample + "source", alignmentOf(gauge), moved);
    merge(files, sample + "source", moved, alignmentOf(gauge.inverse()), merged);
    merge(files, sample + "source", moved, alignmentOf(Gauge::identity(128)),
          unmoved);  // the wrong way: coordinates mixed
    {
        const TensorFile before = openTensorFile(files.open(sample + "source/model.safetensors")),
                         after = openTensorFile(files.open(merged + "/model.safetensors"));
        REQUIRE(before.tensors.size() == after.tensors.size());
        for (std::size_t i = 0; i < before.tensors.size(); ++i) {
            std::vector<std::byte> x(before.tensors[i].info.bytes), y(after.tensors[i].info.bytes);
            tensorBytes(before, i)->read(0, x), tensorBytes(after, i)->read(0, y);
            CHECK(before.tensors[i].info.name == after.tensors[i].info.name);
            CHECK(x == y);
        }
        auto sequences = readTokens(files, sample + "source/tokens.npy");
        sequences.resize(2);
        const Model source = Model::load(files, sample + "source");
        CHECK(verify(source, Model::load(files, merged), sequences).maxLogitDifference < 1e-4);
        CHECK(verify(source, Model::load(files, unmoved), sequences).maxLogitDifference > 1);
    }
}

TEST_CASE("what cannot be averaged must be equal, and what does not fit is refused by name, with nothing left behind") {
    MemoryFiles files;
    std::vector<Array> a = llama(1), b = llama(2);
    put(files, "a", a), put(files, "b", b);
    const Alignment gauge = alignmentOf(randomGauge(d, 3));
    const auto refuses = [&](ErrorCode code, const std::string& says) {
        const Refusal refusal = requireRefusal([&] { merge(files, "a", "b", gauge, "out"); });
        CHECK(refusal.code == code);
        CHECK_THAT(refusal.message, ContainsSubstring(says));
        CHECK_FALSE(files.exists("out"));
    };
    std::vector<Array> more = b;
    more.push_back(randomArray("model.layers.0.self_attn.o_proj.bias", {d}, 9));
    put(files, "b", more);
    refuses(ErrorCode::shapeMismatch, "has in addition model.layers.0.self_attn.o_proj.bias");
    put(files, "a", more), put(files, "b", b);
    refuses(ErrorCode::shapeMismatch, "lacks model.layers.0.self_attn.o_proj.bias");
    put(files, "a", a);
    std::vector<Array> wider = b;
    wider[1] = randomArray(b[1].name, {8, d}, 9);
    put(files, "b", wider);
    refuses(ErrorCode::shapeMismatch, "[4, 6] against F32 [8, 6]");
    // An unknown tensor: kept where both have the same, refused where not.
    a.push_back(randomArray("model.layers.0.mystery.weight", {3}, 1));
    b.push_back(a.back());
    put(files, "a", a), put(files, "b", b);
    const MergeReport report = merge(files, "a", "b", gauge, "kept");
    CHECK(report.equal == 1);
    CHECK(arrayIn(files, "kept/model.safetensors", a.back().name).values == a.back().values);
    b.back().values[1] += 1;
    put(files, "b", b);
    refuses(ErrorCode::unknownTensor, "mystery");
}

TEST_CASE("a vocabulary that is shorter in one of the three is merged as far as all have it, and the report says so") {
    MemoryFiles files;
    std::vector<Array> base = llama(3);
    base[0] = randomArray(base[0].name, {5, d}, 9);
    put(files, "a", llama(1)), put(files, "b", llama(2)), put(files, "base", base);
    MergeOptions options;
    options.base = "base";
    const MergeReport report = merge(files, "a", "b", alignmentOf(Gauge::identity(d)), "out", options);
    CHECK(report.sharedRows == 5);
    const Array merged = arrayIn(files, "out/model.safetensors", base[0].name), mine = llama(1)[0];
    CHECK(std::equal(merged.values.begin() + 5 * d, merged.values.end(), mine.values.begin() + 5 * d));
    CHECK_FALSE(std::equal(merged.values.begin() + 4 * d, merged.values.begin() + 5 * d, mine.values.begin() + 4 * d));
}

TEST_CASE("finite weights stay finite, or the merge is refused") {
    MemoryFiles files;
    std::vector<Array> b = llama(2);
    put(files, "a", llama(1)), put(files, "b", b);
    MergeOptions options;
    for (const double weight : {1e300, -1e300, 1e39}) {
        INFO(weight);
        options.weight = weight;
        const Refusal refusal =
            requireRefusal([&] { merge(files, "a", "b", alignmentOf(Gauge::identity(d)), "out", options); });
        CHECK(refusal.code == ErrorCode::usage);
        CHECK_THAT(refusal.message, ContainsSubstring("model.embed_tokens.weight") && ContainsSubstring("--weight"));
        CHECK_FALSE(files.exists("out"));
    }
    b[0].values[3] = std::numeric_limits<float>::infinity();  // what was infinite may be
    put(files, "b", b);
    options.weight = 0.5;
    merge(files, "a", "b", alignmentOf(Gauge::identity(d)), "out", options);
    CHECK(std::isinf(arrayIn(files, "out/model.safetensors", b[0].name).values[3]));
}

TEST_CASE("checkpoints whose configurations compute other functions of the same weights are not merged") {
    MemoryFiles files;
    put(files, "a", llama(1)), put(files, "b", llama(2)), put(files, "base", llama(3));
    const Alignment gauge = alignmentOf(Gauge::identity(d));
    const auto configure = [&](const std::string& folder, const std::string& more) {
        files.put(folder + "/config.json", R"({"model_type":"llama","hidden_size":6)" + more + "}");
    };
    const auto refusal = [&](const std::string& mine, const std::string& theirs) -> std::string {
        configure("a", mine), configure("b", theirs);
        MergeOptions options;
        options.force = true;
        const auto found = refusalOf([&] { merge(files, "a", "b", gauge, "out", options); });
        if (found) CHECK(found->code == ErrorCode::shapeMismatch);
        return found ? found->message : "merged";
    };
    using Pair = std::pair<std::string, std::string>;
    for (const auto& [mine, theirs] :
         {Pair{R"(,"num_attention_heads":2)", R"(,"num_attention_heads":4)"},
          Pair{R"(,"num_key_value_heads":2)", R"(,"num_key_value_heads":1)"},
          Pair{R"(,"head_dim":2)", R"(,"head_dim":1)"}, Pair{R"(,"rope_theta":5)", R"(,"rope_theta":10000.0)"},
          Pair{R"(,"rope_theta":5)", R"(,"rope_parameters":{"rope_theta":10000.0})"},
          Pair{R"(,"rope_scaling":{"rope_type":"linear","factor":2})",
               R"(,"rope_scaling":{"rope_type":"linear","factor":4})"},
          Pair{R"(,"rope_scaling":{"type":"longrope","short_factor":[1,2]})",
               R"(,"rope_scaling":{"type":"longrope","short_factor":[1,3]})"},
          Pair{R"(,"rope_scaling":null)", R"(,"rope_scaling":{"type":"linear","factor":4})"},
          Pair{R"(,"hidden_act":"silu")", R"(,"hidden_act":"gelu")"},
          Pair{R"(,"hidden_activation":"gelu")", R"(,"hidden_activation":"gelu_pytorch_tanh")"},
          Pair{R"(,"rms_norm_eps":1e-5)", R"(,"rms_norm_eps":1e-6)"},
          Pair{R"(,"layer_norm_eps":1e-5)", R"(,"layer_norm_eps":1e-6)"},
          Pair{R"(,"text_config":{"rope_theta":5})", R"(,"rope_theta":10000)"},
          Pair{R"(,"tie_word_embeddings":true)", R"(,"tie_word_embeddings":false)"}}) {
        INFO(mine << " and " << theirs);
        CHECK_THAT(refusal(mine, theirs), ContainsSubstring("which have no average"));
        CHECK_THAT(refusal(theirs, mine), ContainsSubstring("which have no average"));
    }
    CHECK_THAT(refusal(R"(,"text_config":{"rope_theta":5})", R"(,"rope_theta":10000)"),
               ContainsSubstring("b: has rope_theta = 10000, and a has text_config.rope_theta = 5"));
    for (const auto& [mine, theirs] :
         {Pair{R"(,"num_attention_heads":2)", ""}, Pair{R"(,"rms_norm_eps":1e-5)", R"(,"rms_norm_eps":0.00001)"},
          Pair{R"(,"rope_theta":10000)", R"(,"rope_parameters":{"rope_theta":10000.0,"rope_type":"default"})"},
          Pair{R"(,"rope_scaling":null)", R"(,"rope_scaling":{"rope_type":"default"})"},
          Pair{R"(,"hidden_act":null)", R"(,"hidden_act":"silu")"},
          Pair{R"(,"max_position_embeddings":10,"torch_dtype":"float32")",
               R"(,"max_position_embeddings":20,"torch_dtype":"bfloat16")"}}) {
        INFO(mine << " and " << theirs);
        CHECK(refusal(mine, theirs) == "merged");
        CHECK(refusal(theirs, mine) == "merged");
    }
    configure("a", R"(,"rope_theta":5)"), configure("b", R"(,"rope_theta":5)"), configure("base", R"(,"rope_theta":6)");
    MergeOptions options;
    options.base = "base";
    CHECK_THROWS_WITH(merge(files, "a", "b", gauge, "never", options), ContainsSubstring("base: has rope_theta = 6"));
}

TEST_CASE("a gauge whose names say that it goes from A to B is refused with what to do") {
    MemoryFiles files;
    put(files, "models/a", llama(1)), put(files, "models/b", llama(2));
    Alignment gauge = alignmentOf(randomGauge(d, 3));
    const auto attempt = [&](const std::string& source, const std::string& target) {
        gauge.source.name = source, gauge.target.name = target;
        MergeOptions options;
        options.force = true;  // it is about the output, not about this
        return codeOf([&] { merge(files, "models/a", "models/b", gauge, "out", options); });
    };
    for (const auto& [a, b] : {std::pair<std::string, std::string>{"models/a", "models/b"},
                               {"./models/a/", "models/b/"},
                               {"/home/me/models/a", "/home/me/models/b"},
                               {"models/a/evidence.safetensors", "models/b/evidence.safetensors"}}) {
        INFO(a);
        CHECK(attempt(a, b) == ErrorCode::usage);
        CHECK_FALSE(attempt(b, a));
    }
    CHECK_FALSE(attempt("somewhere", "else"));
    CHECK_FALSE(attempt("", ""));
    CHECK(attempt("models/a", "") == ErrorCode::usage);
    CHECK_THROWS_WITH((gauge.source.name = "models/a", merge(files, "models/a", "models/b", gauge, "x")),
                      ContainsSubstring("regauge invert"));
}

TEST_CASE("doubles are rounded once to half precision and bfloat16, ties to even") {
    // Every finite F16 comes back as itself; a midpoint of neighbours goes to the even one, and a hair beside it to the
    // nearer one.
    const auto half = [](double value, Dtype dtype) {
        std::uint16_t word = 0;
        storeDoubles(std::span(&value, 1), dtype, std::as_writable_bytes(std::span(&word, 1)));
        return word;
    };
    const auto back = [](std::uint16_t word, Dtype dtype) {
        double value = 0;
        loadDoubles(std::as_bytes(std::span(&word, 1)), dtype, std::span(&value, 1));
        return value;
    };
    std::size_t wrong = 0;
    for (const Dtype dtype : {Dtype::F16, Dtype::BF16}) {
        const std::uint16_t infinity = dtype == Dtype::F16 ? 0x7C00 : 0x7F80;
        for (std::uint16_t word = 0; word < infinity; ++word) {
            const double low = back(word, dtype);
            const double high = word + 1 == infinity ? 2 * low - back(static_cast<std::uint16_t>(word - 1), dtype)
                                                     : back(static_cast<std::uint16_t>(word + 1), dtype);
            const double middle = (low + high) / 2;
            const auto even = static_cast<std::uint16_t>(word % 2 == 0 ? word : word + 1),
                       next = static_cast<std::uint16_t>(word + 1);
            const bool right = half(low, dtype) == word && half(-low, dtype) == (word | 0x8000) &&
                               half(middle, dtype) == even && half(-middle, dtype) == (even | 0x8000) &&
                               half(std::nextafter(middle, 0.0), dtype) == word &&
                               half(std::nextafter(middle, 1e300), dtype) == next;
            wrong += right ? 0U : 1U;
        }
        CHECK(half(1e300, dtype) == infinity);
        CHECK(half(-std::numeric_limits<double>::infinity(), dtype) == (infinity | 0x8000));
        CHECK(std::isnan(back(half(std::nan(""), dtype), dtype)));
    }
    CHECK(wrong == 0);
}

TEST_CASE("moved bytes read by range are the moved tensor's, whatever the range") {
    // A slab beyond 1 MB is read row by row, a smaller one whole.
    constexpr std::size_t width = 64, inner = 5000;
    const Gauge gauge = randomGauge(width, 11);
    for (const Array& array : {randomArray("t", {3, width}, 1), randomArray("t", {2, width, 3}, 2),
                               randomArray("t", {2, width, inner}, 3)}) {
        MemoryFiles files;
        files.put("f", safetensors({array}));
        const TensorFile file = openTensorFile(files.open("f"));
        const Array expected = movedAxis(array, gauge, 1);
        const auto bytes = std::as_bytes(std::span(expected.values));
        MoveBuffers buffers;
        const auto source = movedTensorBytes(file, 0, {{Action::odd, 1}}, gauge, buffers);
        REQUIRE(source->size() == bytes.size());
        std::mt19937 random(4);
        for (int trial = 0; trial < 50; ++trial) {
            const std::size_t from = random() % bytes.size(),
                              count = 1 + random() % std::min<std::size_t>(bytes.size() - from, 100000);
            std::vector<std::byte> read(count);
            source->read(from, read);
            CHECK(std::memcmp(read.data(), bytes.data() + from, count) == 0);
        }
        std::vector<std::byte> beyond(2);
        CHECK(codeOf([&] { source->read(bytes.size() - 1, beyond); }) == ErrorCode::truncated);
    }
}

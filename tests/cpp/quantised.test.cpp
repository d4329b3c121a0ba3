// Quantised weights read as the floats they stand for: blocks of GGUF, and FP8 with its scales.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>

#include "io/dequantized.hpp"
#include "native_files.hpp"
#include "refusal.hpp"
#include "regauge/evidence.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "regauge/model.hpp"
#include "regauge/transport.hpp"
#include "tensor_files.hpp"
#include "written_files.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<float> floatsOf(const TensorFile& file, std::size_t index) {
    const std::string bytes = storedBytes(file, index);
    std::vector<float> values(bytes.size() / byteSize(file.tensors[index].info.dtype));
    convertToFloat(std::as_bytes(std::span(bytes)), file.tensors[index].info.dtype, values);
    return values;
}

std::vector<float> rowsOfSite(const Evidence& evidence, const std::string& name) {
    for (const Site& site : evidence.sites) {
        if (site.name != name) continue;
        std::vector<float> values(static_cast<std::size_t>(site.rows->rows()) * site.rows->d());
        REQUIRE(site.rows->dtype() == Dtype::F32);
        site.rows->read(0, site.rows->rows(), std::as_writable_bytes(std::span(values)));
        return values;
    }
    return {};
}

// A safetensors file of tensors by their raw bytes.
struct Raw {
    std::string name, dtype;
    Shape shape;
    std::string bytes;
};
std::string rawSafetensors(const std::vector<Raw>& tensors) {
    std::string header = "{", data;
    for (const Raw& tensor : tensors) {
        std::string shape;
        for (const std::uint64_t n : tensor.shape) shape += (shape.empty() ? "" : ",") + std::to_string(n);
        header += std::string(header.size() > 1 ? "," : "") + "\"" + tensor.name + "\":{\"dtype\":\"" + tensor.dtype +
                  "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(data.size()) + "," +
                  std::to_string(data.size() + tensor.bytes.size()) + "]}";
        data += tensor.bytes;
    }
    header += "}";
    return littleEndian(header.size(), 8) + header + data;
}
std::string f32(const std::vector<float>& values) { return dataOf({"", {}, values}); }

// FP8 E4M3: 1, 2, 0.5, -1.
constexpr char one = 0x38, two = 0x40, half = 0x30;
constexpr char minusOne = static_cast<char>(0xB8);

// Rows of a query or key weight in the order of a GGUF file: within each head, the i-th of both halves side by side.
Array interleaved(Array array, std::size_t heads) {
    const std::size_t rows = static_cast<std::size_t>(array.shape[0]), row = array.values.size() / rows,
                      ofHead = rows / heads;
    const std::vector<float> before = array.values;
    for (std::size_t i = 0; i < rows; ++i) {
        const std::size_t within = i % ofHead, from = i - within + within % 2 * (ofHead / 2) + within / 2;
        std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(from * row), row,
                    array.values.begin() + static_cast<std::ptrdiff_t>(i * row));
    }
    return array;
}

}  // namespace

TEST_CASE("quantised: the numbers of every GGUF block type are the gguf package's, bit for bit") {
    const TensorFile blocks = openText(fixture("quantised/blocks.gguf"));
    const TensorFile expected = openText(fixture("quantised/values.safetensors"));
    REQUIRE(blocks.tensors.size() == 15);
    const TensorFile seen = dequantized(blocks, Dtype::F32);
    CHECK(seen.format == FileFormat::gguf);
    for (std::size_t i = 0; i < seen.tensors.size(); ++i) {
        const TensorInfo& info = seen.tensors[i].info;
        INFO(blocks.tensors[i].quantized);
        CHECK(isQuantized(blocks.tensors[i]));
        CHECK_FALSE(isQuantized(seen.tensors[i]));
        CHECK(info.name == blocks.tensors[i].info.name);
        CHECK(info.shape == blocks.tensors[i].info.shape);
        for (std::size_t k = 0; k < expected.tensors.size(); ++k)
            if (expected.tensors[k].info.name == info.name) CHECK(storedBytes(seen, i) == storedBytes(expected, k));
    }
    CHECK(seen.metadata == blocks.metadata);
}

TEST_CASE("quantised: any range of a dequantised file is the same part of it, rounded once to its dtype") {
    for (const Dtype dtype : {Dtype::F32, Dtype::F16, Dtype::BF16}) {
        const TensorFile seen = dequantized(openText(fixture("quantised/blocks.gguf")), dtype);
        std::vector<std::byte> whole(static_cast<std::size_t>(seen.source->size()));
        seen.source->read(0, whole);
        for (std::size_t at = 1; at < whole.size(); at = at * 3 + 1) {
            std::vector<std::byte> part(std::min<std::size_t>(whole.size() - at, 777));
            seen.source->read(at, part);
            CHECK(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(at)));
        }
        CHECK(rewrite(seen) == std::string(reinterpret_cast<const char*>(whole.data()), whole.size()));
        const std::vector<float> exact =
            floatsOf(dequantized(openText(fixture("quantised/blocks.gguf")), Dtype::F32), 0);
        const std::vector<float> rounded = floatsOf(seen, 0);
        for (std::size_t i = 0; i < exact.size(); ++i)
            CHECK(std::fabs(rounded[i] - exact[i]) <=
                  std::fabs(exact[i]) * (dtype == Dtype::BF16 ? 0x1p-8F : 0x1p-11F));
    }
}

TEST_CASE("quantised: FP8 is multiplied with its scale, of a tensor, a row or a block") {
    const std::string bytes{one, two, half, minusOne, one, one, two, two};
    const TensorFile file = openText(rawSafetensors({
        {"plain.weight", "F8_E4M3", {2, 4}, bytes},
        {"tensor.weight", "F8_E4M3", {2, 4}, bytes},
        {"tensor.weight_scale", "F32", {}, f32({4})},
        {"tensor.input_scale", "F32", {}, f32({9})},
        {"row.weight", "F8_E4M3", {2, 4}, bytes},
        {"row.weight_scale", "F32", {2, 1}, f32({2, 3})},
        {"block.weight", "F8_E4M3", {2, 4}, bytes},
        {"block.weight_scale_inv", "F32", {1, 2}, f32({2, 10})},
        {"expert.weight", "F8_E5M2", {2, 2, 2}, std::string{0x3C, 0x40, 0x3C, 0x40, 0x3C, 0x40, 0x3C, 0x40}},
        {"expert.weight_scale", "F32", {2, 2}, f32({1, 2, 3, 4})},
    }));
    const TensorFile seen = dequantized(file, Dtype::F32);
    REQUIRE(seen.tensors.size() == 5);
    CHECK(floatsOf(seen, 0) == std::vector<float>{1, 2, 0.5, -1, 1, 1, 2, 2});
    CHECK(floatsOf(seen, 1) == std::vector<float>{4, 8, 2, -4, 4, 4, 8, 8});
    CHECK(floatsOf(seen, 2) == std::vector<float>{2, 4, 1, -2, 3, 3, 6, 6});
    CHECK(floatsOf(seen, 3) == std::vector<float>{2, 4, 5, -10, 2, 2, 20, 20});
    CHECK(floatsOf(seen, 4) == std::vector<float>{1, 2, 2, 4, 3, 6, 4, 8});
    const std::string three =
        rawSafetensors({{"w", "F8_E4M3", {2, 4}, bytes}, {"w_scale", "F32", {3, 1}, f32({1, 2, 3})}});
    CHECK(codeOf([&] { dequantized(openText(three), Dtype::F32); }) == ErrorCode::shapeMismatch);
    CHECK_THROWS_WITH(storedBytes(dequantized(openText(rawSafetensors({{"w", "F8_E4M3", {2, 4}, bytes},
                                                                       {"w_scale", "F32", {1}, f32({1e6F})}})),
                                              Dtype::F16),
                                  0),
                      ContainsSubstring("bf16"));
}

TEST_CASE("quantised: blocks of 128 by 128 end where the weight does") {
    Raw weight{"w.weight", "F8_E4M3", {130, 300}, std::string(130 * 300, one)};
    const Raw scales{"w.weight_scale_inv", "F32", {2, 3}, f32({1, 2, 3, 4, 5, 6})};
    const std::vector<float> values = floatsOf(dequantized(openText(rawSafetensors({scales, weight})), Dtype::F32), 0);
    for (std::size_t row = 0; row < 130; ++row)
        for (std::size_t column = 0; column < 300; ++column)
            REQUIRE(values[row * 300 + column] == static_cast<float>(row / 128 * 3 + column / 128 + 1));
}

TEST_CASE("quantised: an FP8 checkpoint is evidence, its scale in another shard") {
    MemoryFiles files;
    files.put("m/config.json", R"({"model_type":"llama","hidden_size":4})");
    files.put("m/model-00001-of-00002.safetensors",
              rawSafetensors({{"model.embed_tokens.weight", "F32", {2, 4}, f32({1, 2, 3, 4, 5, 6, 7, 8})},
                              {"model.layers.0.mlp.up_proj.weight", "F8_E4M3", {2, 4}, std::string(8, two)}}));
    files.put("m/model-00002-of-00002.safetensors",
              rawSafetensors({{"model.layers.0.mlp.up_proj.weight_scale", "F32", {2, 1}, f32({3, 5})}}));
    const Evidence evidence = openEvidence(files, "m");
    CHECK(rowsOfSite(evidence, "weights.0.up_proj") == std::vector<float>{6, 6, 6, 6, 10, 10, 10, 10});
}

TEST_CASE("quantised: a GGUF model is evidence under the names of the checkpoint it was made from") {
    const Array embedding = randomArray("token_embd.weight", {7, 8}, 1),
                norm = randomArray("output_norm.weight", {8}, 2), query = randomArray("blk.0.attn_q.weight", {8, 8}, 3),
                key = randomArray("blk.0.attn_k.weight", {4, 8}, 4),
                down = randomArray("blk.0.ffn_down.weight", {8, 5}, 5),
                input = randomArray("blk.0.attn_norm.weight", {8}, 6),
                mlp = randomArray("blk.0.ffn_norm.weight", {8}, 7);
    const Texts llama{
        {"general.architecture", "llama"}, {"llama.attention.head_count", "2"}, {"llama.attention.head_count_kv", "1"}};
    MemoryFiles files;
    files.put("m.gguf", gguf({embedding, norm, interleaved(query, 2), interleaved(key, 1), down, input, mlp}, llama));
    const Evidence evidence = openEvidence(files, "m.gguf");
    CHECK(evidence.d == 8);
    CHECK(rowsOfSite(evidence, "embedding") == embedding.values);
    CHECK(rowsOfSite(evidence, "weights.0.q_proj") == query.values);
    CHECK(rowsOfSite(evidence, "weights.0.k_proj") == key.values);
    CHECK(rowsOfSite(evidence, "weights.0.down_proj").size() == 40);
    std::vector<std::string> names;
    for (const Gains& gains : evidence.gains) names.push_back(gains.name);
    CHECK(names == std::vector<std::string>{"final", "input_layernorm.0", "post_attention_layernorm.0"});

    SECTION("split into numbered files, named by any of them, or by their folder") {
        files.put("s/m-00001-of-00002.gguf", gguf({embedding, interleaved(query, 2)}, llama));
        files.put("s/m-00002-of-00002.gguf", gguf({norm}, {{"split.no", "1"}}));
        for (const char* path : {"s", "s/m-00001-of-00002.gguf", "s/m-00002-of-00002.gguf"}) {
            const Evidence split = openEvidence(files, path);
            CHECK(rowsOfSite(split, "embedding") == embedding.values);
            CHECK(rowsOfSite(split, "weights.0.q_proj") == query.values);
            REQUIRE(split.gains.size() == 1);
        }
        files.contents.erase("s/m-00002-of-00002.gguf");
        CHECK_THROWS_WITH(openEvidence(files, "s/m-00001-of-00002.gguf"), ContainsSubstring("m-00002-of-00002.gguf"));
    }
    SECTION("Qwen's rows are in the checkpoint's order") {
        files.put("q.gguf",
                  gguf({embedding, query}, {{"general.architecture", "qwen2"}, {"qwen2.attention.head_count", "2"}}));
        CHECK(rowsOfSite(openEvidence(files, "q.gguf"), "weights.0.q_proj") == query.values);
    }
    SECTION("a control vector is none") {
        CHECK_THROWS_WITH(openEvidence(NativeFiles(), std::string(REGAUGE_TEST_DATA) + "/fixtures/control_vector.gguf"),
                          ContainsSubstring("token_embd.weight"));
    }
}

TEST_CASE("quantised: a GGUF file computes the function of the checkpoint it was made from") {
    const NativeFiles native;
    const std::string folder = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/source";
    const Model original = Model::load(native, folder);
    const ModelConfig& config = original.config();
    const std::pair<std::string, std::string> names[] = {{"model.embed_tokens.weight", "token_embd.weight"},
                                                         {"model.norm.weight", "output_norm.weight"},
                                                         {"lm_head.weight", "output.weight"},
                                                         {"model.layers.", "blk."},
                                                         {"self_attn.q_proj", "attn_q"},
                                                         {"self_attn.k_proj", "attn_k"},
                                                         {"self_attn.v_proj", "attn_v"},
                                                         {"self_attn.o_proj", "attn_output"},
                                                         {"mlp.gate_proj", "ffn_gate"},
                                                         {"mlp.up_proj", "ffn_up"},
                                                         {"mlp.down_proj", "ffn_down"},
                                                         {"input_layernorm", "attn_norm"},
                                                         {"post_attention_layernorm", "ffn_norm"}};
    std::vector<Array> arrays;
    const CheckpointFiles checkpoint = openCheckpointFiles(native, folder);
    for (const TensorFile& file : checkpoint.shards)
        for (std::size_t i = 0; i < file.tensors.size(); ++i) {
            Array array{file.tensors[i].info.name, file.tensors[i].info.shape, floatsOf(file, i)};
            for (const auto& [from, to] : names)
                if (const std::size_t at = array.name.find(from); at != std::string::npos)
                    array.name.replace(at, from.size(), to);
            if (array.name.ends_with("attn_q.weight")) array = interleaved(array, config.heads);
            if (array.name.ends_with("attn_k.weight")) array = interleaved(array, config.kvHeads);
            arrays.push_back(std::move(array));
        }
    MemoryFiles files;
    files.put("m.gguf",
              gguf(arrays, {{"general.architecture", config.modelType},
                            {config.modelType + ".embedding_length", std::to_string(config.d)},
                            {config.modelType + ".block_count", std::to_string(config.layers)},
                            {config.modelType + ".attention.head_count", std::to_string(config.heads)},
                            {config.modelType + ".attention.head_count_kv", std::to_string(config.kvHeads)},
                            {config.modelType + ".attention.key_length", std::to_string(config.headDim)},
                            {config.modelType + ".feed_forward_length", std::to_string(config.neurons)},
                            {config.modelType + ".attention.layer_norm_rms_epsilon", std::to_string(config.normEps)},
                            {config.modelType + ".rope.freq_base", "10000.0"}}));
    const Model model = Model::load(files, "m.gguf");
    const std::vector<std::int64_t> tokens{1, 2, 3, 4, 5};
    CHECK(model.logits(tokens) == original.logits(tokens));
}

namespace {

// A llama of one layer, d = 128, its embedding in Q8_0: one block a 32 numbers, all of them whole numbers of its scale.
std::string quantisedLlama(const std::vector<Array>& arrays) {
    const auto string = [](const std::string& text) { return littleEndian(text.size(), 8) + text; };
    std::string header = "GGUF" + littleEndian(3, 4) + littleEndian(arrays.size(), 8) + littleEndian(2, 8), data;
    header += string("general.architecture") + littleEndian(8, 4) + string("llama");
    header += string("general.file_type") + littleEndian(4, 4) + littleEndian(7, 4);
    for (const Array& array : arrays) {
        const bool blocks = array.shape.size() == 2;
        header += string(array.name) + littleEndian(array.shape.size(), 4);
        for (std::size_t k = array.shape.size(); k-- > 0;) header += littleEndian(array.shape[k], 8);
        header += littleEndian(blocks ? 8 : 0, 4) + littleEndian(data.size(), 8);
        if (!blocks) {
            data += dataOf(array);
        } else {
            for (std::size_t i = 0; i < array.values.size(); ++i) {
                if (i % 32 == 0) data += std::string("\x00\x24", 2);  // a scale of 1/64 in float16
                data += static_cast<char>(static_cast<int>(std::lround(array.values[i] * 64)));
            }
        }
        data.resize((data.size() + 31) / 32 * 32);
    }
    header.resize((header.size() + 31) / 32 * 32);
    return header + data;
}

Array wholeNumbers(const std::string& name, const Shape& shape, unsigned seed) {
    Array array = randomArray(name, shape, seed);
    for (float& value : array.values) value = std::round(std::clamp(value, -1.5F, 1.5F) * 64) / 64;
    return array;
}

std::string refusal(MemoryFiles& files, const std::string& object, const Gauge& gauge, TransportOptions options = {}) {
    options.force = true;
    const auto found = refusalOf([&] { transport(files, object, alignmentOf(gauge), "out", options); });
    return found ? found->message : "";
}

}  // namespace

TEST_CASE("quantised: blocks whose numbers are not computed are refused without a promise to compute them") {
    constexpr std::size_t d = 256;
    const std::vector<Array> arrays{wholeNumbers("token_embd.weight", {5, d}, 1),
                                    randomArray("output_norm.weight", {d}, 4)};
    const std::string q8 = littleEndian(d, 8) + littleEndian(5, 8) + littleEndian(8, 4);
    std::string bytes = quantisedLlama(arrays);
    bytes.replace(bytes.find(q8), q8.size(), littleEndian(d, 8) + littleEndian(5, 8) + littleEndian(16, 4));
    MemoryFiles files;
    files.put("m.gguf", bytes);
    const auto isHonest = [](const std::string& refusal) {
        CHECK_THAT(refusal, ContainsSubstring("IQ2_XXS") && ContainsSubstring("llama-quantize"));
        CHECK_THAT(refusal, !ContainsSubstring("--dequantize"));
    };
    TransportOptions options;
    isHonest(refusal(files, "m.gguf", randomGauge(d, 5), options));
    options.dequantize = Dtype::BF16;
    isHonest(refusal(files, "m.gguf", randomGauge(d, 5), options));
    CHECK_THROWS_WITH(openEvidence(files, "m.gguf"), ContainsSubstring("llama-quantize"));
}

TEST_CASE("quantised: --dequantize moves a GGUF model whose blocks run along the residual axis") {
    constexpr std::size_t d = 64;
    const std::vector<Array> arrays{
        wholeNumbers("token_embd.weight", {5, d}, 1), wholeNumbers("blk.0.attn_q.weight", {32, d}, 2),
        wholeNumbers("blk.0.attn_output.weight", {d, 32}, 3), randomArray("output_norm.weight", {d}, 4)};
    const Gauge gauge = randomGauge(d, 5);
    MemoryFiles files;
    files.put("m.gguf", quantisedLlama(arrays));

    const Plan plan = planTransport(files, "m.gguf");
    CHECK(plan.kind == "gguf-model");
    CHECK_THAT(plan.moves[0].why, ContainsSubstring("Q8_0"));
    CHECK_THAT(refusal(files, "m.gguf", gauge), ContainsSubstring("Q8_0") && ContainsSubstring("--dequantize bf16"));
    // A dry run promises nothing else.
    CHECK(codeOf([&] { planTransport(files, "m.gguf", {}, d); }) == ErrorCode::unsupported);

    for (const Dtype dtype : {Dtype::F32, Dtype::F16, Dtype::BF16}) {
        TransportOptions options;
        options.force = true;
        options.dequantize = dtype;
        transport(files, "m.gguf", alignmentOf(gauge), "moved.gguf", options);
        const TensorFile moved = openTensorFile(files.open("moved.gguf"));
        CHECK(moved.metadata.front().second == "llama");
        CHECK(moved.metadata[1].second == (dtype == Dtype::F32 ? "0" : dtype == Dtype::F16 ? "1" : "32"));
        for (std::size_t t = 0; t < arrays.size(); ++t) {
            const Array& before = arrays[t];
            INFO(before.name);
            CHECK(moved.tensors[t].info.dtype == (t == 3 ? Dtype::F32 : dtype));
            const std::vector<float> after = floatsOf(moved, t);
            for (std::size_t i = 0; i < after.size(); ++i) {
                const std::size_t columns = static_cast<std::size_t>(before.shape.back());
                std::size_t row = i / columns, column = i % columns;
                float sign = 1;
                if (t == 2) {
                    sign = gauge.sign()[row];
                    row = gauge.perm()[row];
                } else {
                    sign = t == 3 ? 1.0F : gauge.sign()[column];
                    column = gauge.perm()[column];
                }
                REQUIRE(after[i] == sign * before.values[row * columns + column]);
            }
        }
    }
}

TEST_CASE("quantised: --dequantize moves an FP8 model in blocks, and its config and index say so") {
    constexpr std::size_t d = 4;
    const auto weight = [&](const std::string& name, const Shape& shape) {
        return Raw{"model." + name, "F8_E4M3", shape, std::string(count(shape), one)};
    };
    const auto scale = [&](const std::string& name, const std::vector<float>& values, const Shape& shape) {
        return Raw{"model." + name + "_scale_inv", "F32", shape, f32(values)};
    };
    std::vector<Raw> first{{"model.embed_tokens.weight", "F32", {3, d}, f32(std::vector<float>(12, 1))},
                           {"model.norm.weight", "F32", {d}, f32({1, 2, 3, 4})}};
    std::vector<Raw> second;
    for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj",
                             "self_attn.o_proj", "mlp.down_proj"}) {
        const std::string full = "layers.0." + std::string(name) + ".weight";
        first.push_back(weight(full, {d, d}));
        second.push_back(scale(full, {1, 2, 3, 4}, {2, 2}));
    }
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
        first.push_back({"model.layers.0." + std::string(norm) + ".weight", "F32", {d}, f32({1, 2, 3, 4})});
    MemoryFiles files;
    files.put(
        "m/config.json",
        R"({"model_type":"llama","hidden_size":4,"quantization_config":{"quant_method":"fp8","weight_block_size":[2,2]},"num_hidden_layers":1})");
    files.put("m/model-00001-of-00002.safetensors", rawSafetensors(first));
    files.put("m/model-00002-of-00002.safetensors", rawSafetensors(second));
    std::string map;
    for (const Raw& raw : first)
        map += (map.empty() ? "" : ",") + ("\"" + raw.name + "\":\"model-00001-of-00002.safetensors\"");
    for (const Raw& raw : second) map += ",\"" + raw.name + "\":\"model-00002-of-00002.safetensors\"";
    files.put("m/model.safetensors.index.json", R"({"metadata":{"total_size":1},"weight_map":{)" + map + "}}");

    const Gauge gauge = randomGauge(d, 5);
    CHECK(planTransport(files, "m").kind == "llama");
    CHECK_THAT(refusal(files, "m", gauge), ContainsSubstring("--dequantize bf16"));
    TransportOptions options;
    options.dequantize = Dtype::F32;
    transport(files, "m", alignmentOf(gauge), "out", options);
    CHECK(files.text("out/config.json") == R"({"model_type":"llama","hidden_size":4,"num_hidden_layers":1})");
    CHECK(files.text("out/model.safetensors.index.json").find("scale_inv") == std::string::npos);
    const Array query =
        arrayIn(files, "out/model-00001-of-00002.safetensors", "model.layers.0.self_attn.q_proj.weight");
    for (std::size_t row = 0; row < d; ++row)
        for (std::size_t column = 0; column < d; ++column) {
            const std::size_t from = gauge.perm()[column];
            CHECK(query.values[row * d + column] ==
                  gauge.sign()[column] * static_cast<float>(row / 2 * 2 + from / 2 + 1));
        }
    openCheckpointFiles(files, "out");  // the index and its shards agree
}

TEST_CASE("containers: a split GGUF folder moves as one model, and one of its files alone does not") {
    constexpr std::size_t d = 8;
    const Texts llama{{"general.architecture", "llama"}};
    MemoryFiles files;
    files.put("s/m-00001-of-00002.gguf", gguf({randomArray("token_embd.weight", {5, d}, 1)}, llama));
    files.put("s/m-00002-of-00002.gguf",
              gguf({randomArray("blk.0.attn_output.weight", {d, 3}, 2), randomArray("output_norm.weight", {d}, 3)},
                   {{"split.no", "1"}}));
    const Gauge gauge = randomGauge(d, 5);
    CHECK_THAT(refusal(files, "s/m-00001-of-00002.gguf", gauge), ContainsSubstring("split"));
    CHECK(refusal(files, "s", gauge) == "");
    CHECK(arrayIn(files, "out/m-00002-of-00002.gguf", "output_norm.weight").values.size() == d);
    transport(files, "out", alignmentOf(gauge.inverse()), "back");
    CHECK(files.text("back/m-00001-of-00002.gguf") == files.text("s/m-00001-of-00002.gguf"));
}

TEST_CASE("containers: what is no array of numbers is copied and named, in .npz and .pt") {
    const Array vector = randomArray("", {16}, 1);
    std::string labels = npy({"", {2}, {0, 0}});
    labels.replace(labels.find("<f4"), 3, "<U1");
    MemoryFiles files;
    files.put("v.npz", storedZip({{"direction.npy", npy(vector)}, {"labels.npy", labels}}));
    files.put("v.pt", fixture("beside_numpy.pt"));
    const Gauge gauge = randomGauge(16, 5);
    for (const char* name : {"v.npz", "v.pt"}) {
        TransportOptions options;
        options.force = true;
        const Plan plan = transport(files, name, alignmentOf(gauge), "out", options);
        CHECK_THAT(plan.description, ContainsSubstring(name[2] == 'n' ? "labels" : "mean"));
        CHECK(plan.moves.size() == 1);
        transport(files, "out", alignmentOf(gauge.inverse()), "back", options);
        CHECK(files.text("back") == files.text(name));
    }
}

TEST_CASE("containers: a model's root in the hub's cache is the snapshot that main names") {
    MemoryFiles files;
    files.put("models--a--b/refs/main", "abc");
    files.put("models--a--b/snapshots/abc/config.json", R"({"model_type":"llama","hidden_size":8})");
    files.put("models--a--b/snapshots/abc/model.safetensors",
              safetensors({randomArray("model.embed_tokens.weight", {3, 8}, 1)}));
    files.put("models--a--b/snapshots/old/config.json", "{}");
    CHECK(openEvidence(files, "models--a--b").d == 8);
    files.put("models--a--b/refs/main", "gone");
    CHECK_THROWS_WITH(openEvidence(files, "models--a--b"), ContainsSubstring("refs/main"));
}

TEST_CASE("evidence: sites are chosen before their widths and rows are compared") {
    MemoryFiles files;
    files.put("e.safetensors",
              safetensors({randomArray("activations/hidden", {6, 12}, 1), randomArray("activations/resid", {5, 8}, 2),
                           randomArray("gains/a", {12}, 3)}));
    CHECK_THROWS_WITH(openEvidence(files, "e.safetensors"),
                      ContainsSubstring("--site") && ContainsSubstring("hidden, resid"));
    const Evidence evidence = openEvidence(files, "e.safetensors", {"resid"});
    CHECK(evidence.d == 8);
    REQUIRE(evidence.sites.size() == 1);
    CHECK(evidence.gains.empty());
    CHECK(codeOf([&] { openEvidence(files, "e.safetensors", {"other"}); }) == ErrorCode::shapeMismatch);
}

TEST_CASE(
    "quantised: packed weights are refused by their method with a way out of it, and floats with scales of rows "
    "are not") {
    constexpr std::size_t d = 4;
    const auto said = [&](const std::string& how) {
        MemoryFiles files;
        files.put("m/config.json",
                  R"({"model_type":"llama","hidden_size":4,"num_hidden_layers":1,"quantization_config":)" + how + "}");
        files.put("m/model.safetensors", safetensors({randomArray("model.embed_tokens.weight", {6, d}, 1)}));
        return refusal(files, "m", randomGauge(d, 5), {});
    };
    for (
        const auto& [method, config] : std::vector<std::pair<std::string, std::string>>{
            {"awq", R"({"quant_method":"awq","bits":4,"group_size":128,"version":"gemm","zero_point":true})"},
            {"gptq", R"({"quant_method":"gptq","bits":4,"group_size":-1})"},
            {"mxfp4", R"({"quant_method":"mxfp4","modules_to_not_convert":["lm_head"]})"},
            {"bitsandbytes", R"({"quant_method":"bitsandbytes","load_in_4bit":true,"load_in_8bit":false})"},
            {"bitsandbytes", R"({"quant_method":"bitsandbytes","load_in_4bit":false,"load_in_8bit":true})"},
            {"compressed-tensors",
             R"({"quant_method":"compressed-tensors","config_groups":{"g":{"weights":{"strategy":"block","type":"int"}}}})"},
            {"a method that it does not name",
             R"({"config_groups":{"g":{"weights":{"strategy":"group","type":"float"}}}})"}})
        CHECK_THAT(said(config),
                   ContainsSubstring("(" + method + "), packed in a way that regauge does not read; " +
                                     (method == "bitsandbytes" ? "dequantise the model first (in transformers, "
                                                                 "model.dequantize(), then save_pretrained)"
                                      : method == "mxfp4"      ? "dequantise the model first (in transformers, "
                                                                 "from_pretrained(path, quantization_config="
                                                                 "Mxfp4Config(dequantize=True)), then save_pretrained)"
                                                               : "take the model that it was made from, in float")));
    CHECK_THAT(said(R"({"config_groups":{"g":{"weights":{"strategy":"channel","type":"float"}}}})"),
               !ContainsSubstring("packed in a way"));
    // Where the configuration does not, the tensors' names tell.
    MemoryFiles files;
    files.put("m/config.json", R"({"model_type":"llama","hidden_size":4,"num_hidden_layers":1})");
    files.put("m/model.safetensors", safetensors({randomArray("model.embed_tokens.weight", {6, d}, 1),
                                                  randomArray("model.layers.0.self_attn.q_proj.qweight", {d, d}, 2)}));
    CHECK_THAT(refusal(files, "m", randomGauge(d, 5), {}),
               ContainsSubstring("q_proj.qweight: is a GPTQ or AWQ weight, packed in a way that regauge does not read; "
                                 "take the model that it was made from, in float"));
}

// Seeds that are written here: evidence of every kind, checkpoints and models of several families, a map.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "regauge/io/safetensors_writer.hpp"
#include "some_map.hpp"
#include "tensor_files.hpp"
#include "written_files.hpp"

namespace regauge::fuzz {

// A tensor of zeros, but for F32: those are random.
struct Made {
    std::string name;
    Dtype dtype;
    Shape shape;
};

inline std::string tensorFile(const std::vector<Made>& all) {
    std::vector<std::string> data;
    for (const Made& one : all)
        data.push_back(one.dtype == Dtype::F32 ? test::dataOf(test::randomArray(one.name, one.shape, 1))
                                               : std::string(test::count(one.shape) * byteSize(one.dtype), '\0'));
    std::vector<NewTensor> tensors;
    for (std::size_t i = 0; i < all.size(); ++i)
        tensors.push_back({all[i].name, all[i].dtype, all[i].shape, std::as_bytes(std::span(data[i]))});
    test::TextSink file;
    writeSafetensors(tensors, {}, file);
    return file.text;
}

// Zeros, as NumPy would write an array of that dtype ("<f4") of `size` bytes an element.
inline std::string npyOf(std::string_view descr, std::size_t size, const Shape& shape, bool fortran) {
    std::string dict = "{'descr': '" + std::string(descr) + "', 'fortran_order': " + (fortran ? "True" : "False") +
                       ", 'shape': " + test::tupleText(shape) + ", }";
    dict.append(63 - (10 + dict.size()) % 64, ' ');
    dict += '\n';
    return "\x93NUMPY" + std::string("\1\0", 2) + test::littleEndian(dict.size(), 2) + dict +
           std::string(test::count(shape) * size, '\0');
}

using NamedSeeds = std::vector<std::pair<std::string, std::string>>;

inline NamedSeeds evidenceSeeds() {
    constexpr Dtype f32 = Dtype::F32;
    NamedSeeds seeds{
        {"bundle", tensorFile({{"activations/resid.1", f32, {2, 3, 4}},
                               {"activations/resid.2", Dtype::BF16, {2, 3, 4}},
                               {"token_ids", Dtype::I64, {2, 3}},
                               {"attention_mask", Dtype::BOOL, {2, 3}},
                               {"gains/final", Dtype::F16, {4}}})},
        {"gains-only", tensorFile({{"gains/final", Dtype::F64, {4}}, {"gains/input_layernorm.0", f32, {4}}})},
        {"gains-of-two-widths", tensorFile({{"gains/a", f32, {4}}, {"gains/b", f32, {5}}})},
        {"gains-matrix", tensorFile({{"gains/final", f32, {2, 2}}})},
        {"bundle-other", tensorFile({{"activations/x", f32, {2, 4}}, {"more", f32, {2}}})},
        {"mask-short", tensorFile({{"activations/x", f32, {2, 4}}, {"attention_mask", Dtype::U8, {3}}})},
        {"widths", tensorFile({{"a", f32, {2, 4}}, {"b", f32, {2, 5}}, {"mean", f32, {4}}})},
        {"prompts", tensorFile({{"acts.0", f32, {2, 4}}, {"acts.1", f32, {3, 4}}})},
        {"prompts-of-layers",
         tensorFile({{"0.0", f32, {2, 4}}, {"0.1", f32, {2, 4}}, {"1.0", f32, {3, 4}}, {"1.1", f32, {3, 4}}})},
        {"layers-of-prompts",
         tensorFile({{"l.0.0", f32, {2, 4}}, {"l.0.1", f32, {3, 4}}, {"l.1.0", f32, {2, 4}}, {"l.1.1", f32, {3, 4}}})},
        {"vectors", tensorFile({{"0", f32, {4}}, {"1", f32, {4}}})},
        {"prompts-of-two-dtypes", tensorFile({{"acts.0", f32, {2, 4}}, {"acts.1", Dtype::F16, {3, 4}}})},
        {"other-space", tensorFile({{"activations/blocks.0.attn.hook_z", f32, {2, 4}}})},
        {"number", tensorFile({{"rows", f32, {}}})},
        {"no-rows", tensorFile({{"rows", f32, {0, 4}}})},
        {"integers", tensorFile({{"rows", Dtype::U16, {2, 4}}})},
        {"vector-only", tensorFile({{"mean", f32, {4}}, {"other", f32, {4}}})},
        {"gpt2", tensorFile({{"wte.weight", f32, {5, 4}},
                             {"h.0.attn.c_proj.weight", f32, {4, 4}},
                             {"h.0.mlp.c_proj.weight", f32, {8, 4}},
                             {"h.0.ln_1.weight", f32, {4}},
                             {"ln_f.weight", f32, {4}}})},
        {"gemma", tensorFile({{"model.embed_tokens.weight", Dtype::BF16, {5, 4}},
                              {"lm_head.weight", f32, {5, 4}},
                              {"model.layers.0.input_layernorm.weight", Dtype::BF16, {4}},
                              {"model.layers.0.pre_feedforward_layernorm.weight", Dtype::F64, {4}},
                              {"model.layers.0.mlp.down_proj.weight", f32, {4, 6}},
                              {"model.norm.weight", f32, {4}}})},
        {"embedding-vector", tensorFile({{"model.embed_tokens.weight", f32, {5}}})},
        {"gains-of-another-width",
         tensorFile({{"model.embed_tokens.weight", f32, {5, 4}}, {"model.norm.weight", f32, {3}}})}};
    for (const Dtype dtype : {Dtype::U8, Dtype::I8, Dtype::U16, Dtype::I16, Dtype::U32, Dtype::I32, Dtype::U64, f32})
        seeds.emplace_back("ids-" + std::string(name(dtype)),
                           tensorFile({{"rows", f32, {2, 4}}, {"input_ids", dtype, {2}}}));
    return seeds;
}

inline NamedSeeds npzSeeds() {
    return {{"fortran-3d", test::storedZip({{"rows.npy", npyOf("<f4", 4, {2, 3, 4}, true)},
                                            {"token_ids.npy", npyOf(">i4", 4, {2, 3}, true)},
                                            {"attention_mask.npy", npyOf("|b1", 1, {6}, false)}})},
            {"big-endian", test::storedZip({{"a.npy", npyOf(">f8", 8, {2, 4}, true)},
                                            {"b.npy", npyOf(">f2", 2, {2, 4}, true)},
                                            {"gains.npy", npyOf(">f4", 4, {4}, false)}})},
            {"texts", test::storedZip(
                          {{"names.npy", npyOf("<U3", 12, {2}, false)}, {"vector.npy", npyOf("<f4", 4, {16}, false)}})},
            {"texts-only", test::storedZip({{"names.npy", npyOf("<U3", 12, {2}, false)}})}};
}

// One layer, 16 wide, as llama.cpp's converter names it, and key-values of the architecture.
inline std::string ggufModel(const std::string& family, const test::Texts& more, bool sandwich) {
    std::vector<test::Array> arrays;
    const auto add = [&](const std::string& name, const Shape& shape) {
        arrays.push_back(test::randomArray(name + ".weight", shape, static_cast<unsigned>(arrays.size())));
    };
    add("token_embd", {5, 16}), add("output_norm", {16}), add("blk.0.attn_norm", {16}), add("blk.0.ffn_norm", {16});
    add("blk.0.attn_q", {16, 16}), add("blk.0.attn_k", {8, 16}), add("blk.0.attn_v", {8, 16});
    add("blk.0.attn_output", {16, 16}), add("blk.0.ffn_gate", {8, 16}), add("blk.0.ffn_up", {8, 16});
    add("blk.0.ffn_down", {16, 8});
    if (sandwich) {
        add("blk.0.post_attention_norm", {16}), add("blk.0.post_ffw_norm", {16});
        add("blk.0.attn_q_norm", {8}), add("blk.0.attn_k_norm", {8});
    }
    test::Texts texts{{"general.architecture", family},
                      {family + ".embedding_length", "16"},
                      {family + ".block_count", "1"},
                      {family + ".attention.head_count", "2"},
                      {family + ".attention.head_count_kv", "1"},
                      {family + ".feed_forward_length", "8"},
                      {family + ".attention.layer_norm_rms_epsilon", "1e-5"}};
    for (const auto& [key, value] : more) texts.emplace_back(family + "." + key, value);
    return test::gguf(arrays, texts);
}

inline NamedSeeds ggufSeeds() {
    return {
        {"llama", ggufModel("llama", {{"rope.dimension_count", "8"}, {"rope.freq_base", "10000"}}, false)},
        {"scaled", ggufModel("qwen2", {{"rope.scaling.type", "linear"}, {"rope.scaling.factor", "4"}}, false)},
        {"yarn", ggufModel("llama", {{"rope.scaling.type", "yarn"}}, false)},
        {"gemma2",
         ggufModel("gemma2",
                   {{"attention.key_length", "8"}, {"attn_logit_softcapping", "50"}, {"final_logit_softcapping", "x"}},
                   true)},
        {"gemma3", ggufModel("gemma3", {{"attention.key_length", "8"}, {"attention.sliding_window", "2"}}, true)},
        {"glm4", ggufModel("glm4", {}, true)},
        {"phi3", ggufModel("phi3", {}, false)},
        {"heads-of-each-layer", ggufModel("llama", {{"attention.key_length", "[8, 8]"}}, false)}};
}

inline std::string mapFile(const std::vector<Map>& maps) {
    MapSet set;
    set.maps = maps;
    test::TextSink file;
    writeMaps(set, file);
    return file.text;
}

}  // namespace regauge::fuzz

// The files that mutation tests begin with: one or more of every format.
#pragma once

#include "io/dequantized.hpp"
#include "refusal.hpp"
#include "regauge/evidence.hpp"
#include "regauge/transport.hpp"
#include "tensor_files.hpp"
#include "written_files.hpp"

namespace regauge::test {

struct Seed {
    std::string name;
    std::string text;
};

inline std::vector<Seed> mutationSeeds() {
    std::vector<Seed> seeds;
    for (const char* name :
         {"c_order.npy", "fortran_order.npy", "compressed.npz", "zip64.npz", "gemma_scope/params.npz",
          "control_vector.gguf", "ae.pt", "nested_checkpoint.pt", "views_share_storage.pt", "mean_diffs_bf16.pt",
          "optimizer.pt", "beside_numpy.pt", "arrow/kinds.arrow", "arrow/file.arrow"})
        seeds.push_back({name, fixture(name)});
    seeds.push_back({"quantised.gguf", fixture("quantised/blocks.gguf")});
    // FP8 with a scale a row, and one a block.
    std::string fp8 = R"({"a":{"dtype":"F8_E4M3","shape":[2,4],"data_offsets":[0,8]},)"
                      R"("a_scale":{"dtype":"F16","shape":[2,1],"data_offsets":[8,12]},)"
                      R"("b":{"dtype":"F8_E5M2","shape":[2,4],"data_offsets":[12,20]},)"
                      R"("b_scale_inv":{"dtype":"F16","shape":[1,2],"data_offsets":[20,24]}})";
    fp8 = littleEndian(fp8.size(), 8) + fp8 + std::string("\x38\x40\x30\xB8\x01\x7E\xFF\x00\x00\x3C\x00\x40", 12);
    seeds.push_back({"fp8.safetensors", fp8 + fp8.substr(fp8.size() - 12)});
    seeds.push_back({"a.safetensors", safetensors({randomArray("weight", {3, 16}, 1), randomArray("bias", {3}, 2)})});
    seeds.push_back({"vector.json", "[[0.5, -1e-3, 2], [3, 4.25, -0]]"});
    seeds.push_back(
        {"neurons.json", R"({"layer": 3, "neurons": [1, 15, 7], "values": [0.5, -2, 1e-3], "rank": [1, 2, 3]})"});
    seeds.push_back({"neurons.csv", "neuron,polarity,label\n1,+,\"a,b\"\n15,-,c\n"});
    seeds.push_back({"model.gguf", gguf({randomArray("token_embd.weight", {5, 16}, 1),
                                         randomArray("blk.0.attn_output.weight", {16, 3}, 2),
                                         randomArray("output_norm.weight", {16}, 3)},
                                        {{"general.architecture", "llama"}})});
    seeds.push_back({"lora.gguf",
                     gguf({randomArray("blk.0.attn_q.weight.lora_a", {2, 16}, 1),
                           randomArray("blk.0.attn_q.weight.lora_b", {3, 2}, 2)},
                          {{"general.type", "adapter"}, {"general.architecture", "llama"}, {"adapter.type", "lora"}})});
    // Views that share a storage: all rows, one row of them, and all rows transposed.
    seeds.push_back({"views.pt", torchFile({randomArray("", {3, 16}, 1).values},
                                           {{"layer_0", 0, 0, {3, 16}, {16, 1}}, {"layer_1", 0, 16, {16}, {1}}})});
    // Text beside an array of numbers, as NumPy stores it (UTF-32).
    std::string labels = "\x93NUMPY" + std::string("\1\0", 2) + littleEndian(70, 2) +
                         "{'descr': '<U2', 'fortran_order': False, 'shape': (3,), }";
    labels.append(79 - labels.size(), ' ');
    labels += "\n" + std::string("a\0\0\0b\0\0\0c\0\0\0d\0\0\0e\0\0\0\0\0\0\0", 24);
    seeds.push_back(
        {"labels.npz", storedZip({{"rows.npy", npy(randomArray("rows", {3, 16}, 1))}, {"labels.npy", labels}})});
    return seeds;
}

// Reads a file as evidence. Either it is, or an Error says why not.
inline bool readsAsEvidence(const std::string& text) {
    MemoryFiles files;
    files.put("f", text);
    return !refusalOf([&] {
        const Evidence evidence = openEvidence(files, "f");
        for (const Site& site : evidence.sites) {
            std::vector<std::byte> row(site.rows->d() * byteSize(site.rows->dtype()));
            if (site.rows->rows() == 0) continue;
            site.rows->read(0, 1, row);
            site.rows->read(site.rows->rows() - 1, 1, row);
        }
    });
}

// Reads a file's quantised tensors as floats. Either all are read, or an Error says why not.
inline bool readsAsFloats(const std::string& text) {
    return !refusalOf([&] {
        const TensorFile file = dequantized(openText(text), Dtype::BF16);
        for (std::size_t i = 0; i < file.tensors.size(); ++i) storedBytes(file, i);
    });
}

// Moves a file by a gauge. Either it is moved, or an Error says why not and nothing is left behind; anything else
// escapes.
inline bool movesOrIsRefused(const std::string& text) {
    static const Alignment gauge = alignmentOf(randomGauge(16, 1));
    MemoryFiles files;
    files.put("f", text);
    TransportOptions options;
    options.copyUnknown = true;
    try {
        transport(files, "f", gauge, "out", options);
        return true;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::internal || files.exists("out")) throw;
        return false;
    }
}

}  // namespace regauge::test

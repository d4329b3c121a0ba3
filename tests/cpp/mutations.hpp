// The files that mutation tests begin with: one or more of every format.
#pragma once

#include "tensor_files.hpp"
#include "transport_objects.hpp"

namespace regauge::test {

struct Seed {
    std::string name;
    std::string text;
};

inline std::vector<Seed> mutationSeeds() {
    std::vector<Seed> seeds;
    for (const char* name : {"c_order.npy", "fortran_order.npy", "compressed.npz", "gemma_scope/params.npz", "control_vector.gguf", "ae.pt", "nested_checkpoint.pt", "views_share_storage.pt", "mean_diffs_bf16.pt"})
        seeds.push_back({name, fixture(name)});
    seeds.push_back({"a.safetensors", safetensors({randomArray("weight", {3, 4}, 1), randomArray("bias", {4}, 2)})});
    seeds.push_back({"vector.json", "[[0.5, -1e-3, 2], [3, 4.25, -0]]"});
    return seeds;
}

}  // namespace regauge::test

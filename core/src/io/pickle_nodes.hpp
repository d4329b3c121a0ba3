// What the pickle interpreter builds: nodes in one array, referring to each other by index. Freeing them needs no
// recursion, and a cycle is harmless.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/pickle.hpp"

namespace regauge {

enum class NodeKind : std::uint8_t { none, boolean, integer, real, text, list, dict, global, storage, tensor, opaque };

struct Node {
    NodeKind kind = NodeKind::none;
    std::uint32_t begin = 0;   // where in the pickle what built it begins
    std::int64_t integer = 0;  // boolean, integer; storage and tensor: index into their table
    double real = 0;
    std::string text;                  // text, global ("torch._utils._rebuild_tensor_v2")
    std::vector<std::uint32_t> items;  // list (also tuples and sets); dict: key, value, key, value, ..
};

struct PickleGraph {
    std::vector<Node> nodes;
    std::vector<PickleStorage> storages;
    std::vector<PickleTensor> tensors;
    std::uint32_t root = 0;
};

// Runs the opcodes.
PickleGraph runPickle(std::span<const std::byte> pickle, const std::string& where);

}  // namespace regauge

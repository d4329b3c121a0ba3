// Python pickles read as data: a whitelist interpreter that builds numbers, texts, containers and descriptions of
// tensors, and runs nothing.
// Opcodes and globals: those of PyTorch's own weights_only loader (FORMATS.md section 9). Everything is bounded,
// nothing recurses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "regauge/tensor.hpp"

namespace regauge {

// A storage that the pickle names: the member data/<key> of the archive.
struct PickleStorage {
    std::string key;
    std::optional<Dtype> dtype;  // nothing for untyped storages, whose `count` is in bytes
    std::uint64_t count = 0;
    std::string type, location;  // "torch.FloatStorage", "cpu": as the pickle says them
};

// A tensor as a view: element [i, j, ..] is storage element offset + i * strides[0] + j * strides[1] + ..
struct PickleTensor {
    std::string name;
    std::size_t storage = 0;
    Dtype dtype = Dtype::F32;
    std::uint64_t offset = 0;
    Shape shape;
    std::vector<std::uint64_t> strides;
    // The bytes of the pickle that say where it lies, [placeBegin, placeEnd): persistent id, offset, shape and strides;
    // or, of a tensor that is there under another name already, the reference to it. Empty where that cannot be told.
    std::size_t placeBegin = 0, placeEnd = 0;
    bool reference = false;
};

struct PickleContents {
    std::vector<PickleStorage> storages;
    std::vector<PickleTensor> tensors;                        // in the order of the containers
    std::vector<std::pair<std::string, std::string>> values;  // numbers and texts by dotted path
};

// Throws Error: malformed (one sentence for every kind of damage), unsupported (a global outside the whitelist, named),
// tooLarge.
PickleContents readPickle(std::span<const std::byte> pickle, const std::string& where);

}  // namespace regauge

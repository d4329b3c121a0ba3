// A new safetensors file from tensors in memory.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

// A tensor to write: row-major, little-endian; the bytes are borrowed.
struct NewTensor {
    std::string name;
    Dtype dtype = Dtype::F32;
    Shape shape;
    std::span<const std::byte> bytes;
};

// Writes header and data in the order given. Throws Error(internal) where bytes do not fit a shape, and as
// ByteSink::write does.
void writeSafetensors(const std::vector<NewTensor>& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata, ByteSink& out);

}  // namespace regauge

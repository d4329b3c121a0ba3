// GGUF v2 and v3, little-endian: key-values kept as they are, tensors that are plain floats or integers moved.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "regauge/io/tensor_file.hpp"

namespace regauge {

TensorFile openGguf(std::shared_ptr<const ByteSource> source);
void rewriteGguf(const TensorFile& file, const std::vector<std::pair<std::string, std::string>>& provenance,
                 const MoveTensor& move, ByteSink& out);

}  // namespace regauge

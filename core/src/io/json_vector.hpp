// A JSON array of numbers, possibly nested: how Neuronpedia gives vectors. Read as F64; written again with every
// number's own text.
#pragma once

#include <memory>

#include "regauge/io/tensor_file.hpp"

namespace regauge {

TensorFile openJsonVector(std::shared_ptr<const ByteSource> source);
std::unique_ptr<ByteSource> jsonTensorBytes(const TensorFile& file);
void rewriteJsonVector(const TensorFile& file, const MoveTensor& move, ByteSink& out);

}  // namespace regauge

// JSON numbers as tensors, read as F64 and written again with every number's own text: an array, possibly nested, as
// Neuronpedia gives vectors ("vector"), or an object with such arrays in it, each a tensor by its path
// ("directions.12"); all else in the object stays as it is.
#pragma once

#include <memory>

#include "regauge/io/tensor_file.hpp"

namespace regauge {

TensorFile openJsonVector(std::shared_ptr<const ByteSource> source);
std::unique_ptr<ByteSource> jsonTensorBytes(const TensorFile& file, std::size_t index);
void rewriteJsonVector(const TensorFile& file, const MoveTensor& move, ByteSink& out);

}  // namespace regauge

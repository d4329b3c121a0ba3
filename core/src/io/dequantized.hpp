// Files of quantised weights, seen as files of plain floats whose numbers are computed as they are read.
#pragma once

#include <memory>
#include <vector>

#include "regauge/io/tensor_file.hpp"

namespace regauge {

// Whether the stored bytes are not yet the tensor's numbers: GGUF's blocks, and FP8.
bool isQuantized(const StoredTensor& stored);

// The files of one model again, each quantised tensor as elements of `dtype` (F16, BF16 or F32), rounded once from what
// is computed in float32:
//   GGUF: as the gguf package dequantises; blocks that regauge cannot compute (IQ1 to IQ3) stay as they are;
//   FP8:  the element times its scale, which may lie in another of the files. The scale of NAME is NAME_scale or
//         NAME_scale_inv: one number, one a row [out, 1], or one a block [ceil(out / b), ceil(in / c)], b and c a power
//         of two (128 where that fits). Scales, of weights and of inputs, are left out.
// Files without such tensors are returned as they are. A GGUF file stays one; the others become safetensors.
// Throws Error: shapeMismatch (a scale that fits no such reading), and those of openTensorFile.
std::vector<TensorFile> dequantized(std::vector<TensorFile> files, Dtype dtype);
TensorFile dequantized(TensorFile file, Dtype dtype);

}  // namespace regauge

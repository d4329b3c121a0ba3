// NumPy's .npz: a zip archive of .npy members.
#pragma once

#include <memory>

#include "io/zip.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {

TensorFile openNpz(std::shared_ptr<const ByteSource> source, ZipDirectory zip);
std::unique_ptr<ByteSource> npzTensorBytes(const TensorFile& file, std::size_t index);
void rewriteNpz(const TensorFile& file, const MoveTensor& move, ByteSink& out);

}  // namespace regauge

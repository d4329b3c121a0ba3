// NumPy's .npz: a zip archive of .npy members.
#pragma once

#include <memory>
#include <vector>

#include "io/zip.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {

TensorFile openNpz(std::shared_ptr<const ByteSource> source, ZipDirectory zip);
std::unique_ptr<ByteSource> npzTensorBytes(const TensorFile& file, std::size_t index);
void rewriteNpz(const TensorFile& file, const MoveTensor& move, ByteSink& out);

// What is in the archive and no tensor (arrays of texts, dates and objects, files that are no arrays), as members of a
// new archive, byte for byte. They read from `file`, which outlives them.
std::vector<NewMember> otherNpzMembers(const TensorFile& file);

}  // namespace regauge

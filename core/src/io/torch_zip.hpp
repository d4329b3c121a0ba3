// PyTorch's zip format (.pt, .pth, .bin since torch 1.6): a pickle that describes, and storages that hold. FORMATS.md
// section 9.
#pragma once

#include <memory>

#include "io/zip.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {

// Whether a member says that torch.save or torch.jit.save wrote this archive.
bool looksLikeTorch(const ZipDirectory& zip);
TensorFile openTorchZip(std::shared_ptr<const ByteSource> source, ZipDirectory zip);
std::unique_ptr<ByteSource> torchTensorBytes(const TensorFile& file, std::size_t index);
void rewriteTorchZip(const TensorFile& file, const MoveTensor& move, ByteSink& out);

}  // namespace regauge

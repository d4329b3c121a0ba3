// Files of tensors, whatever the container: what is inside, reading by range, and writing the same file again with some
// bytes moved.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

// Recognised by content, never by the file's extension.
enum class FileFormat { safetensors, npy, npz, torchZip, gguf, jsonVector, arrow };
std::string_view name(FileFormat format);

// A tensor as its container stores it. The bytes are elements in row-major order of `info.shape`, little-endian, unless
// a flag says otherwise.
// Names: as in the container. A .npy's only array is "array", a bare tensor in a .pt "tensor", a JSON array "vector";
// in nested .pt dicts and lists the keys are joined by '.' ("state.0.exp_avg"). Strided views in a .pt are read and
// written as if they were contiguous; info.offset is then where the view begins.
struct StoredTensor {
    TensorInfo info;            // info.offset: of the first byte in the file (in the inflated member, where deflated)
    bool fortranOrder = false;  // .npy: stored column-major, i.e. row-major with the axes reversed
    bool bigEndian = false;     // .npy '>f4': the sign bit is in an element's first byte
    std::string quantized;      // GGUF block types ("Q4_K"): blocks of info.bytes that cannot move (info.dtype is U8);
                                // empty for plain elements
};

struct TensorFile {
    FileFormat format = FileFormat::safetensors;
    std::shared_ptr<const ByteSource> source;
    std::vector<StoredTensor> tensors;                          // in the file's own order
    std::vector<std::pair<std::string, std::string>> metadata;  // safetensors __metadata__; GGUF key-values and a .pt's
                                                                // numbers and texts ("param_groups.0.lr"), as text
    const StoredTensor* find(std::string_view name) const;      // nullptr where there is none

    // Format-specific state (a zip directory, a pickle's storages) that rewriting needs.
    std::shared_ptr<const void> detail;
};

// Reads the header only. Throws Error: truncated, malformed, wrongDtype, unsupported (what to do is in the sentence).
TensorFile openTensorFile(std::shared_ptr<const ByteSource> source);

// A tensor's bytes as they are stored, as a source of their own: offset 0 is the tensor's first byte. Deflated members
// are inflated.
std::unique_ptr<ByteSource> tensorBytes(const TensorFile& file, std::size_t index);

// Writes one tensor's stored bytes, from `in` to `out`, exactly info.bytes of them.
using MoveTensor = std::function<void(std::size_t index, const ByteSource& in, ByteSink& out)>;

// Writes the file again: everything as it was, byte for byte, but each tensor's bytes as `move` gives them.
// provenance: (key, value) pairs for the format's own metadata; ignored where the format has no room (npy, torchZip).
// Without provenance a safetensors header is kept byte for byte.
void rewriteTensorFile(const TensorFile& file, const std::vector<std::pair<std::string, std::string>>& provenance,
                       const MoveTensor& move, ByteSink& out);

}  // namespace regauge

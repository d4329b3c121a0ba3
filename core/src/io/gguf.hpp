// GGUF v2 and v3, little-endian: key-values kept as they are, tensors that are plain floats or integers moved.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "regauge/io/tensor_file.hpp"

namespace regauge {

TensorFile openGguf(std::shared_ptr<const ByteSource> source);
void rewriteGguf(const TensorFile& file, const std::vector<std::pair<std::string, std::string>>& provenance,
                 const MoveTensor& move, ByteSink& out);

// The header of a GGUF file with the same key-values and tensors of other element types, in the order given: infos[i]
// has the new type (where the old one is of blocks and info.dtype is U8, the blocks stay) and bytes, and its data
// begins offsets[i] behind the header.
struct GgufHeader {
    std::vector<std::byte> bytes;
    std::vector<std::uint64_t> offsets;
};
GgufHeader ggufHeader(const TensorFile& file, const std::vector<TensorInfo>& infos);

// Each text of a key-value that is a list of texts, in order; none where there is no such list. (file.metadata has long
// lists only in part.) Throws Error(tooLarge) where there are more than `most`.
void eachGgufText(const TensorFile& file, std::string_view key, std::uint64_t most,
                  const std::function<void(std::string)>& take);

}  // namespace regauge

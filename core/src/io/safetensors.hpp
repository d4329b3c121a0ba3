// safetensors: u64 header length, JSON header, data without holes. FORMATS.md section 10.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "regauge/io/tensor_file.hpp"

namespace regauge {

TensorFile openSafetensors(std::shared_ptr<const ByteSource> source);
void rewriteSafetensors(const TensorFile& file, const std::vector<std::pair<std::string, std::string>>& provenance,
                        const MoveTensor& move, ByteSink& out);

// A new header, length prefix included, of tensors that lie one behind the other in the order given; their offsets are
// not looked at.
// The data is 8-byte aligned, as the format recommends. Throws Error(internal) where a name is taken twice.
std::vector<std::byte> safetensorsHeader(const std::vector<TensorInfo>& tensors,
                                         const std::vector<std::pair<std::string, std::string>>& metadata);

// The header (length prefix left out) with `entries` in its __metadata__: earlier entries of the same keys are
// replaced, an empty value takes one out, every other byte is kept, and with an entry the data is 8-byte aligned.
// Setting and taking out gives the same header back.
// `header` must be a valid safetensors header.
std::string withMetadata(std::string_view header, const std::vector<std::pair<std::string, std::string>>& entries);

}  // namespace regauge

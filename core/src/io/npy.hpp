// NumPy's .npy: magic, version, a Python dict literal, data in either order and endianness.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "regauge/io/tensor_file.hpp"

namespace regauge {

// Where the array lies is relative to the .npy's own first byte: info.offset is the header's length, info.name is left
// empty.
// `bytes` need only hold the header (10 bytes, then what they say); `size` is the whole .npy's, against which the shape
// is checked.
StoredTensor parseNpyHeader(std::span<const std::byte> bytes, std::uint64_t size, const std::string& where);
// Whether the elements are texts, dates or Python objects, which no gauge acts on. `bytes` as for parseNpyHeader; false
// where the header cannot be read.
bool holdsNoNumbers(std::span<const std::byte> bytes, const std::string& where);
// What parseNpyHeader can need at most: NumPy itself stops at 10,000 characters unless told otherwise.
inline constexpr std::uint64_t mostNpyHeaderBytes = 65536 + 12;

// What a .npy of version 1 begins with, up to its first element (numpy.lib.format). Of the tensor only its dtype,
// shape, order and endianness are asked for. Throws Error(unsupported) for dtypes that NumPy has not.
std::string npyHeader(const StoredTensor& tensor, const std::string& where);

TensorFile openNpy(std::shared_ptr<const ByteSource> source);
void rewriteNpy(const TensorFile& file, const MoveTensor& move, ByteSink& out);

}  // namespace regauge

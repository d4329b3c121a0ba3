// Element types and shapes of tensors as files store them: row-major, little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace regauge {

// Element types, named as safetensors names them. X(name, bytes per element, is a float whose top bit is its sign)
// clang-format off
#define REGAUGE_DTYPES(X)                                                                         \
    X(BOOL, 1, false) X(U8, 1, false) X(I8, 1, false) X(F8_E4M3, 1, true) X(F8_E5M2, 1, true)     \
    X(I16, 2, false) X(U16, 2, false) X(F16, 2, true) X(BF16, 2, true) X(I32, 4, false)           \
    X(U32, 4, false) X(F32, 4, true) X(I64, 8, false) X(U64, 8, false) X(F64, 8, true)            \
    X(C64, 8, false)
// clang-format on

enum class Dtype : std::uint8_t {
#define REGAUGE_ENUMERATOR(name, bytes, isFloat) name,
    REGAUGE_DTYPES(REGAUGE_ENUMERATOR)
#undef REGAUGE_ENUMERATOR
};

std::string_view name(Dtype dtype);
std::optional<Dtype> dtypeFromName(std::string_view name);
std::size_t byteSize(Dtype dtype);
// A float with one sign bit, the top bit of its last byte: what ODD axes may hold.
bool isFloat(Dtype dtype);

using Shape = std::vector<std::uint64_t>;

// The number of elements; nothing where it does not fit 63 bits. A shape without axes has one element.
std::optional<std::uint64_t> elementCount(const Shape& shape);
// "[1024, 128]".
std::string toString(const Shape& shape);

// A tensor that lies in a file: nothing is read yet.
struct TensorInfo {
    std::string name;
    Dtype dtype = Dtype::F32;
    Shape shape;
    std::uint64_t offset = 0;  // of the first byte, from the start of the file
    std::uint64_t bytes = 0;
};

// Converts `count` consecutive little-endian elements of a float dtype (F16, BF16, F32, F64, F8) to float32, rounding
// to nearest even.
// Exact for every dtype but F64. Throws Error(wrongDtype) for others.
void convertToFloat(std::span<const std::byte> in, Dtype dtype, std::span<float> out);

}  // namespace regauge

// ggml's element types, as GGUF files store them: plain numbers, and blocks of numbers that share scales.
// Layouts and arithmetic: llama.cpp, ggml-quants.c; the gguf package's quants.py, whose values these are bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "regauge/tensor.hpp"

namespace regauge {

// One block's bytes to its numbers.
using UnpackBlock = void (*)(const std::byte* block, float* out);

// A type: `bytes` hold `elements` numbers along the contiguous axis. Plain types have one element and a dtype.
struct GgmlType {
    std::uint32_t id;
    std::string_view name;  // "Q4_K"
    std::uint64_t elements;
    std::uint64_t bytes;
    std::optional<Dtype> dtype;
    UnpackBlock unpack = nullptr;  // null for plain types, and for blocks whose numbers regauge does not compute
};

// nullptr where regauge does not know the type.
const GgmlType* ggmlType(std::uint32_t id);
const GgmlType* ggmlType(std::string_view name);

// Whether it is a type of blocks whose numbers regauge does not compute (IQ1 to IQ3, Q8_1, Q8_K).
bool isOpaque(std::string_view name);
// What to do about such a file.
inline constexpr std::string_view makeFloats =
    "make a file of floats of it first (llama.cpp: llama-quantize --allow-requantize FILE.gguf NEW.gguf F16)";

// Whole blocks to float32: out.size() is a multiple of type.elements, blocks.size() fits it. type.unpack is there.
void unpackBlocks(const GgmlType& type, std::span<const std::byte> blocks, std::span<float> out);

}  // namespace regauge

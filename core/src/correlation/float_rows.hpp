// Rows of a float tensor, one at a time: as float32, and their norm. The exact, slow side of what kernels/quantize.hpp
// does fast.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "regauge/correlation.hpp"

namespace regauge {

// The first byte of a row.
const std::byte* rowData(const RowsView& rows, std::size_t row);

// A row as float32 into out [d]. F64 rounds to nearest even.
void loadRow(const RowsView& rows, std::size_t row, std::span<float> out);

// The same without a copy where there is none to make: the row itself, or `room` [d] with what loadRow() puts there.
std::span<const float> rowAsFloats(const RowsView& rows, std::size_t row, std::span<float> room);

// The first column that is NaN or infinite (for F64: or past float32's range), if any.
std::optional<std::size_t> firstNotFinite(std::span<const float> row);

// Euclidean norm of a row of finite elements, from integers (elements cut to 2^-22 of the largest, squares summed in 64
// bits): the same bits in whatever order the channels stand, whatever their signs. d up to 2^18.
double rowNorm(std::span<const float> row);

// Throws Error(wrongDtype) unless F16, BF16, F32 or F64.
void requireFloatRows(const RowsView& rows, const std::string& where);

// Throws Error(notFinite) that names the row and the column, both counted from 0.
[[noreturn]] void throwNotFinite(const std::string& where, std::uint64_t row, std::size_t column, float value);

}  // namespace regauge

#include "correlation/float_rows.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/element.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

template <Dtype dtype>
void loadElements(const std::byte* from, std::span<float> out) {
    for (std::size_t j = 0; j < out.size(); ++j) out[j] = kernels::element<dtype>(from + j * kernels::bytesOf<dtype>);
}

// The largest magnitude, as bits: floats without their sign order like integers, infinity and NaN above all numbers.
// Integers, because compilers turn an integer maximum into vector code and a float maximum into a chain.
std::uint32_t largestMagnitude(std::span<const float> row) {
    std::int32_t largest = 0;
    for (const float x : row) largest = std::max(largest, std::bit_cast<std::int32_t>(x) & 0x7fffffff);
    return static_cast<std::uint32_t>(largest);
}

}  // namespace

const std::byte* rowData(const RowsView& rows, std::size_t row) {
    return rows.data + row * rows.d * byteSize(rows.dtype);
}

void loadRow(const RowsView& rows, std::size_t row, std::span<float> out) {
    const std::byte* from = rowData(rows, row);
    switch (rows.dtype) {
        case Dtype::F16: return loadElements<Dtype::F16>(from, out);
        case Dtype::BF16: return loadElements<Dtype::BF16>(from, out);
        case Dtype::F64: return loadElements<Dtype::F64>(from, out);
        default: return loadElements<Dtype::F32>(from, out);
    }
}

std::span<const float> rowAsFloats(const RowsView& rows, std::size_t row, std::span<float> room) {
    const std::byte* from = rowData(rows, row);
    if (rows.dtype == Dtype::F32 && reinterpret_cast<std::uintptr_t>(from) % alignof(float) == 0)
        return {reinterpret_cast<const float*>(from), rows.d};
    loadRow(rows, row, room);
    return room;
}

std::optional<std::size_t> firstNotFinite(std::span<const float> row) {
    if (largestMagnitude(row) < 0x7f800000u) return std::nullopt;
    const auto found = std::find_if(row.begin(), row.end(), [](float x) { return !std::isfinite(x); });
    return static_cast<std::size_t>(found - row.begin());
}

double rowNorm(std::span<const float> row) {
    const auto largest = std::bit_cast<float>(largestMagnitude(row));
    if (largest == 0) return 0;
    // Not below 2^-100, so that the scale itself stays a float; such rows only lose resolution.
    const int exponent = std::max(std::ilogb(largest), -100);
    const float scale = std::ldexp(1.0f, 22 - exponent);
    std::uint64_t sum = 0;
    for (const float x : row) {
        const auto cut = static_cast<std::uint32_t>(static_cast<std::int32_t>(std::fabs(x) * scale));
        sum += std::uint64_t{cut} * cut;
    }
    return std::ldexp(std::sqrt(static_cast<double>(sum)), exponent - 22);
}

void requireFloatRows(const RowsView& rows, const std::string& where) {
    switch (rows.dtype) {
        case Dtype::F16:
        case Dtype::BF16:
        case Dtype::F32:
        case Dtype::F64: return;
        default:
            throw Error(ErrorCode::wrongDtype, where,
                        "expected rows of F16, BF16, F32 or F64, found " + std::string(name(rows.dtype)));
    }
}

void throwNotFinite(const std::string& where, std::uint64_t row, std::size_t column, float value) {
    const std::string found = std::isnan(value) ? "NaN" : "infinity in float32";
    throw Error(ErrorCode::notFinite, where,
                "row " + std::to_string(row) + ", column " + std::to_string(column) + " (from 0) is " + found +
                    "; expected finite numbers, so leave that row out on both sides or record it again");
}

}  // namespace regauge

// Objects for the transport tests: safetensors and npy files made of floats, gauges, and what NumPy would compute,
// written as the definition.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "memory_files.hpp"
#include "regauge/gauge.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/match.hpp"

namespace regauge::test {

struct Array {
    std::string name;
    Shape shape;
    std::vector<float> values;
};

inline std::size_t count(const Shape& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::size_t{1},
                           [](std::size_t a, std::uint64_t b) { return a * static_cast<std::size_t>(b); });
}

inline Array randomArray(const std::string& name, const Shape& shape, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    Array array{name, shape, std::vector<float>(count(shape))};
    for (float& value : array.values) value = normal(random);
    return array;
}

inline Gauge randomGauge(std::size_t d, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::uint32_t> perm(d);
    std::iota(perm.begin(), perm.end(), 0U);
    std::shuffle(perm.begin(), perm.end(), random);
    std::vector<std::int8_t> sign(d);
    for (std::int8_t& s : sign) s = random() % 2 != 0 ? std::int8_t{1} : std::int8_t{-1};
    return Gauge(perm, sign);
}

inline Alignment alignmentOf(Gauge gauge) {
    Alignment alignment;
    alignment.gauge = std::move(gauge);
    return alignment;
}

// A safetensors file of F32 tensors in this order.
inline std::string safetensors(const std::vector<Array>& arrays, const std::string& metadata = "") {
    std::string header = "{" + metadata, data;
    for (const Array& array : arrays) {
        const std::size_t bytes = array.values.size() * sizeof(float);
        if (header.size() > 1) header += ",";
        header += "\"" + array.name + "\":{\"dtype\":\"F32\",\"shape\":[";
        for (std::size_t k = 0; k < array.shape.size(); ++k) header += (k ? "," : "") + std::to_string(array.shape[k]);
        header +=
            "],\"data_offsets\":[" + std::to_string(data.size()) + "," + std::to_string(data.size() + bytes) + "]}";
        data.append(reinterpret_cast<const char*>(array.values.data()), bytes);
    }
    header += "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    const std::uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

// The F32 tensor `name` of a file.
inline Array arrayIn(const Files& files, const std::string& path, const std::string& name) {
    const TensorFile file = openTensorFile(files.open(path));
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        const TensorInfo& info = file.tensors[i].info;
        if (info.name != name) continue;
        Array array{name, info.shape, std::vector<float>(count(info.shape))};
        tensorBytes(file, i)->read(0, std::as_writable_bytes(std::span(array.values)));
        return array;
    }
    throw Error(ErrorCode::internal, path, "has no tensor " + name);
}

// out[.. i ..] = sign[i] * in[.. perm[i] ..] on one axis, element by element; without signs where signs is false.
inline Array movedAxis(const Array& array, const Gauge& gauge, std::size_t axis, bool signs = true) {
    Array moved = array;
    std::size_t inner = 1;
    for (std::size_t k = axis + 1; k < array.shape.size(); ++k) inner *= static_cast<std::size_t>(array.shape[k]);
    const std::size_t d = gauge.d();
    for (std::size_t at = 0; at < array.values.size(); ++at) {
        const std::size_t i = at / inner % d;
        const std::size_t from = at - i * inner + gauge.perm()[i] * inner;
        moved.values[at] = signs && gauge.sign()[i] < 0 ? -array.values[from] : array.values[from];
    }
    return moved;
}

}  // namespace regauge::test

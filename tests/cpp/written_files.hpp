// Files as NumPy, PyTorch and gguf write them, of F32 arrays: for tests that need a container and exactly these names.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "codec/crc32.hpp"
#include "transport_objects.hpp"

namespace regauge::test {

using Texts = std::vector<std::pair<std::string, std::string>>;

inline std::string littleEndian(std::uint64_t value, std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
    return bytes;
}

inline std::string dataOf(const Array& array) {
    return {reinterpret_cast<const char*>(array.values.data()), array.values.size() * sizeof(float)};
}

// "(3, 4)", and "(3,)" as Python has it.
inline std::string tupleText(const Shape& shape) {
    std::string text = "(";
    for (std::size_t k = 0; k < shape.size(); ++k) text += (k ? ", " : "") + std::to_string(shape[k]);
    return text + (shape.size() == 1 ? ",)" : ")");
}

inline std::string npy(const Array& array) {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + tupleText(array.shape) + ", }";
    header.append(63 - (10 + header.size()) % 64, ' ');
    header += '\n';
    return "\x93NUMPY" + std::string("\1\0", 2) + littleEndian(header.size(), 2) + header + dataOf(array);
}

// Stored members, without descriptors.
inline std::string storedZip(const Texts& members) {
    std::string file, directory;
    for (const auto& [name, bytes] : members) {
        Crc32 crc;
        crc.update(std::as_bytes(std::span(bytes)));
        const std::string common = littleEndian(20, 2) + littleEndian(0, 2) + littleEndian(0, 2) + littleEndian(0, 4) +
                                   littleEndian(crc.value(), 4) + littleEndian(bytes.size(), 4) +
                                   littleEndian(bytes.size(), 4) + littleEndian(name.size(), 2) + littleEndian(0, 2);
        directory += "PK\1\2" + littleEndian(20, 2) + common + littleEndian(0, 2) + littleEndian(0, 2) +
                     littleEndian(0, 2) + littleEndian(0, 4) + littleEndian(file.size(), 4) + name;
        file += "PK\3\4" + common + name + bytes;
    }
    const std::size_t at = file.size();
    return file + directory + "PK\5\6" + littleEndian(0, 4) + littleEndian(members.size(), 2) +
           littleEndian(members.size(), 2) + littleEndian(directory.size(), 4) + littleEndian(at, 4) +
           littleEndian(0, 2);
}

inline std::string npz(const std::vector<Array>& arrays) {
    Texts members;
    for (const Array& array : arrays) members.emplace_back(array.name + ".npy", npy(array));
    return storedZip(members);
}

// A view of a storage, in elements.
struct View {
    std::string name;
    std::size_t storage = 0, offset = 0;
    Shape shape, strides;
    int sameAs = -1;  // the view that is this very tensor, which Python then writes as a reference
};

// torch.save({name: view, .., key: text, ..}): the pickle of protocol 2 that PyTorch writes, and a member for each
// storage.
inline std::string torchFile(const std::vector<std::vector<float>>& storages, const std::vector<View>& views,
                             const Texts& texts = {}) {
    const auto string = [](const std::string& text) { return "X" + littleEndian(text.size(), 4) + text; };
    const auto integer = [](std::uint64_t value) { return "J" + littleEndian(value, 4); };
    const auto tuple = [&](const Shape& numbers) {
        std::string text = "(";
        for (const std::uint64_t number : numbers) text += integer(number);
        return text + "t";
    };
    std::string pickle = "\x80\2}(";
    for (std::size_t i = 0; i < views.size(); ++i) {
        const View& view = views[i];
        pickle += string(view.name);
        if (view.sameAs >= 0) {
            pickle += "h" + littleEndian(static_cast<std::uint64_t>(view.sameAs), 1);
            continue;
        }
        pickle += "ctorch._utils\n_rebuild_tensor_v2\n((" + string("storage") + "ctorch\nFloatStorage\n" +
                  string(std::to_string(view.storage)) + string("cpu") + integer(storages[view.storage].size()) + "tQ" +
                  integer(view.offset) + tuple(view.shape) + tuple(view.strides) + "\x89" +
                  "ccollections\nOrderedDict\n)RtRq" + littleEndian(i, 1);
    }
    for (const auto& [key, text] : texts) pickle += string(key) + string(text);
    Texts members{{"archive/data.pkl", pickle + "u."}, {"archive/byteorder", "little"}};
    for (std::size_t i = 0; i < storages.size(); ++i)
        members.emplace_back("archive/data/" + std::to_string(i), dataOf({"", {}, storages[i]}));
    members.emplace_back("archive/version", "3\n");
    return storedZip(members);
}

// The same with a storage for each tensor.
inline std::string torchFile(const std::vector<Array>& arrays, const Texts& texts = {}) {
    std::vector<std::vector<float>> storages;
    std::vector<View> views;
    for (const Array& array : arrays) {
        View view{array.name, storages.size(), 0, array.shape, Shape(array.shape.size(), 1)};
        for (std::size_t k = array.shape.size(); k-- > 1;) view.strides[k - 1] = view.strides[k] * array.shape[k];
        storages.push_back(array.values);
        views.push_back(std::move(view));
    }
    return torchFile(storages, views, texts);
}

// GGUF version 3; key-values are texts.
inline std::string gguf(const std::vector<Array>& arrays, const Texts& texts) {
    const auto string = [](const std::string& text) { return littleEndian(text.size(), 8) + text; };
    std::string header = "GGUF" + littleEndian(3, 4) + littleEndian(arrays.size(), 8) + littleEndian(texts.size(), 8),
                data;
    for (const auto& [key, text] : texts) header += string(key) + littleEndian(8, 4) + string(text);
    for (const Array& array : arrays) {
        header += string(array.name) + littleEndian(array.shape.size(), 4);
        for (std::size_t k = array.shape.size(); k-- > 0;)
            header += littleEndian(array.shape[k], 8);  // the contiguous axis first
        header += littleEndian(0, 4) + littleEndian(data.size(), 8);
        data += dataOf(array);
        data.resize((data.size() + 31) / 32 * 32);
    }
    header.resize((header.size() + 31) / 32 * 32);
    return header + data;
}

}  // namespace regauge::test

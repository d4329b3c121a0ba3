// Seeds of headers: one for each refusal of a format's reader, and pickles as newer protocols write them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor_seeds.hpp"
#include "written_files.hpp"

namespace regauge::fuzz {

// A safetensors file of this header and so many bytes of data.
inline std::string withHeader(const std::string& json, std::size_t data) {
    return test::littleEndian(json.size(), 8) + json + std::string(data, '\0');
}

inline NamedSeeds safetensorsHeaderSeeds() {
    NamedSeeds seeds;
    for (const char* json : {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}, "a":3})",
                             R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"dtype":"F32"}})",
                             R"({"a":{"dtype":"X9","shape":[2],"data_offsets":[0,8]}})",
                             R"({"a":{"dtype":"F32","shape":[2,-1],"data_offsets":[0,8]}})",
                             R"({"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})",
                             R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
                             R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
                             R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4611686018427387904]}})",
                             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                             R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
                             R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                             R"({"a":{"shape":[2],"data_offsets":[0,8]}})",
                             R"({"a":{"more":3}})",
                             R"({"a":null})",
                             R"({"a":true})",
                             R"({"a":[1]})",
                             R"({"a":{"dtype":{}}})",
                             R"({"a":{"shape":[[1]]}})",
                             R"({"__metadata__":{"k":3}})",
                             R"({"__metadata__":{"k":"a","k":"b"}})",
                             R"({"a":0.5})",
                             R"({"a")"})
        seeds.emplace_back("header-" + std::to_string(seeds.size()), withHeader(json, 8));
    seeds.emplace_back("header-long", test::littleEndian(99, 8) + "{}");
    seeds.emplace_back("header-huge", test::littleEndian(std::uint64_t{1} << 40, 8) + "{}");
    return seeds;
}

// .npy files whose dictionary is this.
inline NamedSeeds npyHeaderSeeds() {
    NamedSeeds seeds;
    for (const char* dict :
         {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "{'descr': '<f4', 'shape': (2,), }",
          "{'descr': '<f4', 'fortran_order': 3, 'shape': (2,), }",
          "{'descr': '|V2', 'fortran_order': False, 'shape': (4,), }",
          "{'descr': '<f16', 'fortran_order': False, 'shape': (2,), }", "{'more': 1}",
          "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
          "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
          "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
          "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
          "{'descr': '<m8[ns]', 'fortran_order': False, 'shape': (1,), }"})
        for (const char version : {'\1', '\2'}) {
            const std::string text = dict;
            seeds.emplace_back("header-" + std::to_string(seeds.size()),
                               "\x93NUMPY" + std::string{version, '\0'} +
                                   test::littleEndian(text.size(), version == '\1' ? 2 : 4) + text +
                                   std::string(8, '\0'));
        }
    seeds.emplace_back("version-9", "\x93NUMPY" + std::string("\x9\0", 2) + std::string(20, ' '));
    seeds.emplace_back("short", "\x93NUMPY" + std::string("\1\0", 2) + test::littleEndian(500, 2));
    return seeds;
}

// A torch.save of protocol 4, with a tensor and the opcodes that protocol 2 has not.
inline std::string protocol4(const std::string& extra) {
    const auto text = [](const std::string& word) {
        return "\x8c" + test::littleEndian(word.size(), 1) + word + "\x94";
    };
    const auto global = [&](const char* module, const char* name) { return text(module) + text(name) + "\x93\x94"; };
    const std::string pickle = "\x80\x04\x95" + test::littleEndian(0, 8) + "}\x94(" + text("w") +
                               global("torch._utils", "_rebuild_tensor_v2") + "((" + text("storage") +
                               global("torch", "FloatStorage") + text("0") + text("cpu") + "K\x10t\x94Q" +
                               std::string("K\0", 2) + "K\x10\x85\x94K\x01\x85\x94\x89" +
                               global("collections", "OrderedDict") + ")R\x94t\x94R\x94" + text("more") + extra + "u.";
    return test::storedZip({{"archive/data.pkl", pickle},
                            {"archive/data/0", test::dataOf(test::randomArray("", {16}, 1))},
                            {"archive/version", "3\n"}});
}

inline NamedSeeds torchSeeds() {
    const std::string two = test::littleEndian(2, 4), many = test::littleEndian(200, 4);
    NamedSeeds seeds;
    for (const std::string& extra :
         {"\x8a\x02" + std::string("\0\1", 2), "\x8a\x09" + std::string(9, '\1'), std::string("\x8f\x94"),
          std::string("]\x94K\1a"), std::string("U\2ab"), "T" + two + "ab", std::string("C\2ab"), "B" + two + "ab",
          "\x8d" + test::littleEndian(2, 8) + "ab", "K\1r" + many + "0j" + many, std::string("(K\1K\2l"),
          std::string("(K\1K\2d"), std::string("N\x88\x86"), std::string("G?\xe0\0\0\0\0\0\0", 9),
          std::string("\x8c\5posix\x8c\6system\x93(\x8c\2id\x85R"), std::string("h\1"), std::string("\xff")})
        seeds.emplace_back("protocol-4-" + std::to_string(seeds.size()), protocol4(extra));
    // Windows over one storage that a permutation moves apart, and views that do not fit theirs.
    const std::vector<std::vector<float>> storages{test::randomArray("", {24}, 1).values};
    seeds.emplace_back("windows", test::torchFile(storages, {{"a", 0, 0, {16}, {1}}, {"b", 0, 8, {16}, {1}}}));
    seeds.emplace_back("expanded", test::torchFile(storages, {{"a", 0, 0, {3, 16}, {0, 1}}}));
    seeds.emplace_back("turned", test::torchFile(storages, {{"a", 0, 0, {16}, {1}}, {"t", 0, 0, {3, 8}, {1, 3}}}));
    seeds.emplace_back("beyond", test::torchFile(storages, {{"a", 0, 20, {16}, {1}}}));
    seeds.emplace_back("same", test::torchFile(storages, {{"a", 0, 0, {16}, {1}}, {"b", 0, 0, {16}, {1}, 0}}));
    return seeds;
}

// GGUF files of one tensor and one key-value of this type and bytes.
inline NamedSeeds ggufHeaderSeeds() {
    NamedSeeds seeds;
    const auto string = [](const std::string& text) { return test::littleEndian(text.size(), 8) + text; };
    const auto add = [&](const std::string& key, unsigned type, const std::string& value, unsigned version = 3,
                         unsigned dtype = 0, std::uint64_t offset = 0) {
        std::string file = "GGUF" + test::littleEndian(version, 4) + test::littleEndian(1, 8) +
                           test::littleEndian(1, 8) + string(key) + test::littleEndian(type, 4) + value + string("v") +
                           test::littleEndian(1, 4) + test::littleEndian(16, 8) + test::littleEndian(dtype, 4) +
                           test::littleEndian(offset, 8);
        file.resize((file.size() + 31) / 32 * 32);
        seeds.emplace_back("value-" + std::to_string(seeds.size()), file + std::string(64, '\0'));
    };
    const std::size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};  // GGUF's types; 8 is a text, 9 an array
    for (unsigned type = 0; type < std::size(sizes); ++type)
        if (sizes[type] != 0) {
            add("k", type, std::string(sizes[type], '\0'));
            add("k", 9, test::littleEndian(type, 4) + test::littleEndian(20, 8) + std::string(20 * sizes[type], '\1'));
        }
    add("k", 9, test::littleEndian(8, 4) + test::littleEndian(2, 8) + string("a") + string("b"));
    add("k", 9, test::littleEndian(9, 4) + test::littleEndian(1, 8));
    add("k", 9, test::littleEndian(4, 4) + test::littleEndian(std::uint64_t{1} << 60, 8));
    add("k", 13, "");
    add("general.alignment", 4, test::littleEndian(64, 4));
    add("general.alignment", 4, test::littleEndian(3, 4));
    add("k", 0, "x", 2), add("k", 0, "x", 9), add("k", 0, "x", 0x03000000);
    add("k", 0, "x", 3, 99), add("k", 0, "x", 3, 2), add("k", 0, "x", 3, 0, 8), add("k", 0, "x", 3, 0, 4096);
    return seeds;
}

}  // namespace regauge::fuzz

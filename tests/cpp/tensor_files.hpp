// For the tests of readers and writers: fixtures and files made of bytes, opened, read whole, rewritten.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "memory_files.hpp"
#include "refusal.hpp"
#include "regauge/error.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge::test {

inline Bytes bytesOf(const std::string& text) {
    return {reinterpret_cast<const std::byte*>(text.data()),
            reinterpret_cast<const std::byte*>(text.data()) + text.size()};
}

inline std::string fixture(const std::string& name) {
    std::ifstream in(std::string(REGAUGE_TEST_DATA) + "/fixtures/" + name, std::ios::binary);
    INFO(name);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

// What NumPy and PyTorch say is in the fixtures.
inline const nlohmann::json& expectedJson() {
    static const nlohmann::json json = nlohmann::json::parse(fixture("expected.json"));
    return json;
}

// Nested JSON arrays, flattened in row-major order.
inline std::vector<double> flatten(const nlohmann::json& json) {
    std::vector<double> values;
    const std::function<void(const nlohmann::json&)> add = [&](const nlohmann::json& node) {
        if (!node.is_array()) return values.push_back(node.get<double>());
        for (const nlohmann::json& child : node) add(child);
    };
    add(json);
    return values;
}

// A source that owns its bytes, so that a TensorFile may outlive the test's variables.
class TextSource final : public ByteSource {
public:
    TextSource(std::string name, std::string text)
        : text_(std::move(text)), view_(std::move(name), std::as_bytes(std::span(text_))) {}
    std::uint64_t size() const override { return view_.size(); }
    void read(std::uint64_t offset, std::span<std::byte> into) const override { view_.read(offset, into); }
    const std::string& name() const override { return view_.name(); }

private:
    std::string text_;
    MemorySource view_;
};

inline TensorFile openText(const std::string& text, const std::string& name = "file") {
    return openTensorFile(std::make_shared<TextSource>(name, text));
}

class TextSink final : public ByteSink {
public:
    std::string text;
    void write(std::span<const std::byte> bytes) override {
        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
};

inline std::string storedBytes(const TensorFile& file, std::size_t index) {
    const std::unique_ptr<ByteSource> source = tensorBytes(file, index);
    std::vector<std::byte> bytes(static_cast<std::size_t>(source->size()));
    source->read(0, bytes);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A little-endian row-major tensor as doubles: F64 exactly, other floats through float32.
inline std::vector<double> valuesOf(const TensorFile& file, std::size_t index) {
    const StoredTensor& tensor = file.tensors.at(index);
    REQUIRE_FALSE((tensor.bigEndian || tensor.fortranOrder));
    const std::string bytes = storedBytes(file, index);
    std::vector<double> values(bytes.size() / byteSize(tensor.info.dtype));
    if (tensor.info.dtype == Dtype::F64) {
        if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    }
    std::vector<float> floats(values.size());
    convertToFloat(std::as_bytes(std::span(bytes)), tensor.info.dtype, floats);
    return {floats.begin(), floats.end()};
}

inline std::vector<double> valuesOf(const TensorFile& file, const std::string& name) {
    for (std::size_t i = 0; i < file.tensors.size(); ++i)
        if (file.tensors[i].info.name == name) return valuesOf(file, i);
    FAIL("no tensor " + name);
    return {};
}

using Provenance = std::vector<std::pair<std::string, std::string>>;

inline const MoveTensor copyTensor = [](std::size_t, const ByteSource& in, ByteSink& out) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(in.size()));
    in.read(0, bytes);
    out.write(bytes);
};

inline std::string rewrite(const TensorFile& file, const MoveTensor& move = copyTensor,
                           const Provenance& provenance = {}) {
    TextSink sink;
    rewriteTensorFile(file, provenance, move, sink);
    return sink.text;
}

// A move that is its own inverse: every tensor's bytes complemented. It shows where the rewritten bytes went.
inline const MoveTensor complementTensor = [](std::size_t, const ByteSource& in, ByteSink& out) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(in.size()));
    in.read(0, bytes);
    for (std::byte& byte : bytes) byte = ~byte;
    // In two parts, as a streaming move would.
    out.write(std::span(bytes).first(bytes.size() / 2));
    out.write(std::span(bytes).subspan(bytes.size() / 2));
};

inline void checkComplementRoundTrip(const std::string& text) {
    const TensorFile file = openText(text);
    const std::string there = rewrite(file, complementTensor);
    CHECK(there != text);
    const TensorFile moved = openText(there);
    REQUIRE(moved.tensors.size() == file.tensors.size());
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        std::string expected = storedBytes(file, i);
        for (char& c : expected) c = static_cast<char>(~c);
        CHECK(storedBytes(moved, i) == expected);
    }
    CHECK(rewrite(moved, complementTensor) == text);
}

inline Refusal openRefusal(const std::string& text, const std::string& name = "file") {
    return requireRefusal([&] { openText(text, name); });
}

// Bytes changed, cut, repeated, moved: what damage and malice do to files.
inline std::string mutate(std::string text, std::mt19937& random) {
    const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
    for (std::size_t changes = 1 + below(3); changes > 0 && !text.empty(); --changes) {
        const std::size_t at = below(text.size());
        switch (below(7)) {
            case 0: text[at] = static_cast<char>(below(256)); break;
            case 1: text[at] = static_cast<char>(text[at] ^ (1 << below(8))); break;
            case 2: text.resize(at); break;
            case 3: text.insert(at, text.substr(below(text.size()), below(32))); break;
            case 4: text.erase(at, below(16) + 1); break;
            case 5: {  // a number field of extreme value
                static constexpr std::uint64_t extremes[] = {0,
                                                             1,
                                                             0x7F,
                                                             0x80,
                                                             0xFF,
                                                             0xFFFF,
                                                             0x7FFFFFFF,
                                                             0x80000000,
                                                             0xFFFFFFFF,
                                                             0x7FFFFFFFFFFFFFFF,
                                                             0x8000000000000000,
                                                             0xFFFFFFFFFFFFFFFF};
                const std::uint64_t value = extremes[below(std::size(extremes))];
                std::memcpy(text.data() + at, &value, std::min(text.size() - at, std::size_t{1} << below(4)));
                break;
            }
            default: std::swap(text[at], text[below(text.size())]); break;
        }
    }
    return text;
}

// Reads and rewrites everything. Either it works, or an Error says why not; anything else escapes and fails the test.
inline bool survives(const std::string& text) {
    return !refusalOf([&] {
        const TensorFile file = openText(text);
        for (std::size_t i = 0; i < file.tensors.size(); ++i) storedBytes(file, i);
        rewrite(file, copyTensor, {{"regauge.fingerprint", "0123"}});
        rewrite(file);
    });
}

}  // namespace regauge::test

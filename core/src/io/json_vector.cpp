#include "io/json_vector.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "io/bytes.hpp"
#include "io/json_edit.hpp"
#include "io/json_text.hpp"
#include "io/number_text.hpp"

namespace regauge {
namespace {

constexpr std::size_t mostAxes = 16;
constexpr std::size_t mostDepth = 32;  // of objects in objects, as configurations are read

// One number's text, inside the file's.
struct Token {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
};

struct Numbers {
    std::vector<Token> tokens;
    std::vector<std::byte> values;  // F64
};

struct JsonDetail {
    std::string text;
    std::vector<Numbers> tensors;  // in the order of the text
};

// The numbers of one tensor, which stay for as long as the source does: rows of evidence outlive the file.
class NumbersSource final : public ByteSource {
public:
    NumbersSource(const TensorFile& file, std::span<const std::byte> values)
        : numbers_(file.detail), values_(file.source->name(), values) {}
    std::uint64_t size() const override { return values_.size(); }
    void read(std::uint64_t offset, std::span<std::byte> into) const override { values_.read(offset, into); }
    const std::string& name() const override { return values_.name(); }

private:
    std::shared_ptr<const void> numbers_;
    MemorySource values_;
};

const JsonDetail& detailOf(const TensorFile& file) { return *static_cast<const JsonDetail*>(file.detail.get()); }

// Reads nested arrays without recursion; `shape` is fixed by the first path down, every other must agree.
class ArrayReader {
public:
    ArrayReader(std::string_view text, std::size_t begin, Numbers& numbers, const std::string& where)
        : text_(text), numbers_(numbers), where_(where), at_(begin) {}

    std::size_t end() const { return at_; }  // behind the array, and the space after it

    Shape read() {
        std::vector<std::uint64_t> counts;  // of the open arrays
        Shape shape;
        bool first = true;  // until the first array closes, depth and lengths are learned
        skipSpace();
        do {
            const char c = peek();
            if (c == '[' && (first || counts.size() < shape.size())) {
                if (counts.size() == mostAxes) fail("nests deeper than " + std::to_string(mostAxes) + " levels");
                if (!counts.empty()) ++counts.back();
                ++at_;
                counts.push_back(0);
                if (first) shape.push_back(0);
                skipSpace();
                if (peek() == ']') fail("is empty");
                continue;
            }
            if (counts.size() != shape.size()) fail("mixes numbers and arrays");
            ++counts.back();
            number();
            first = false;
            skipSpace();
            while (!counts.empty() && peek() == ']') {
                const std::size_t axis = counts.size() - 1;
                if (shape[axis] != 0 && shape[axis] != counts.back())
                    fail("is not rectangular: a row of " + std::to_string(counts.back()) + " among rows of " +
                         std::to_string(shape[axis]));
                shape[axis] = counts.back();
                counts.pop_back();
                ++at_;
                skipSpace();
            }
            if (counts.empty()) break;
            if (peek() != ',') fail("is damaged");
            ++at_;
            skipSpace();
        } while (true);
        return shape;
    }

    [[noreturn]] void fail(const std::string& what) const {
        throw Error(ErrorCode::malformed, where_,
                    "expected an array of numbers (or of arrays of equal length), but at byte " + std::to_string(at_) +
                        " it " + what);
    }

private:
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void skipSpace() {
        while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
    }
    void number() {
        const std::size_t begin = at_;
        while (at_ < text_.size() && std::string_view("+-.0123456789eE").find(text_[at_]) != std::string_view::npos)
            ++at_;
        const std::string_view token = text_.substr(begin, at_ - begin);
        // Through the JSON parser: it knows the grammar, and reads doubles the same on every platform and in every
        // locale.
        const nlohmann::json parsed = nlohmann::json::parse(token, nullptr, false);
        if (!parsed.is_number()) fail("holds something that is not a number");
        const double value = token.front() == '-' ? -std::abs(parsed.get<double>()) : parsed.get<double>();
        if (!std::isfinite(value)) fail("holds a number beyond the range of float64");
        numbers_.tokens.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_)});
        std::byte bytes[8];
        storeLittle(std::bit_cast<std::uint64_t>(value), bytes);
        numbers_.values.insert(numbers_.values.end(), bytes, bytes + 8);
    }

    std::string_view text_;
    Numbers& numbers_;
    const std::string& where_;
    std::size_t at_ = 0;
};

void addTensor(TensorFile& file, JsonDetail& detail, std::string name, Shape shape, Numbers numbers) {
    StoredTensor tensor;
    tensor.info.name = std::move(name);
    tensor.info.dtype = Dtype::F64;
    tensor.info.shape = std::move(shape);
    tensor.info.bytes = numbers.values.size();
    file.tensors.push_back(std::move(tensor));
    detail.tensors.push_back(std::move(numbers));
}

// The arrays in the object that opens at `open`, which begin with a number.
void addArraysOf(TensorFile& file, JsonDetail& detail, std::size_t open, const std::string& path, std::size_t depth,
                 const std::string& where) {
    for (const JsonMember& member : jsonMembers(detail.text, open)) {
        const std::string name = path.empty() ? member.key : path + "." + member.key;
        const char first = detail.text[member.value];
        if (first == '{' && depth < mostDepth) addArraysOf(file, detail, member.value, name, depth + 1, where);
        if (first != '[') continue;
        const std::size_t within = detail.text.find_first_not_of("[ \t\r\n", member.value);
        if (std::string_view("-0123456789").find(detail.text[within]) == std::string_view::npos) continue;
        Numbers numbers;
        Shape shape = ArrayReader(detail.text, member.value, numbers, where + ": " + name).read();
        addTensor(file, detail, name, std::move(shape), std::move(numbers));
    }
}

}  // namespace

TensorFile openJsonVector(std::shared_ptr<const ByteSource> source) {
    const std::string& where = source->name();
    if (source->size() > largestJsonFile)
        throw Error(ErrorCode::tooLarge, where, "JSON of more than 64 MiB; save it as .npy or .safetensors");
    auto detail = std::make_shared<JsonDetail>();
    detail->text = std::string(asText(readBytes(*source, 0, source->size())));
    const std::string& text = detail->text;
    const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n", byteOrderMark(text)), text.size());
    TensorFile file;
    file.format = FileFormat::jsonVector;
    if (begin < text.size() && text[begin] == '{') {
        if (!parseJson(text, where).is_object())
            throw Error(ErrorCode::malformed, where,
                        "begins as a JSON object, and is none: it is damaged, or something else");
        addArraysOf(file, *detail, begin, "", 0, where);
        if (file.tensors.empty())
            throw Error(
                ErrorCode::malformed, where,
                "is a JSON object without an array of numbers; expected vectors, such as {\"12\": [0.1, -0.2, ...]}");
    } else {
        Numbers numbers;
        ArrayReader reader(text, begin, numbers, where);
        Shape shape = reader.read();
        if (reader.end() != text.size()) reader.fail("is followed by something else");
        addTensor(file, *detail, "vector", std::move(shape), std::move(numbers));
    }
    file.detail = std::move(detail);
    file.source = std::move(source);
    return file;
}

std::unique_ptr<ByteSource> jsonTensorBytes(const TensorFile& file, std::size_t index) {
    return std::make_unique<NumbersSource>(file, detailOf(file).tensors.at(index).values);
}

// A moved number keeps its digits and at most gains or loses a '-': 0.10 stays 0.10, and moving back gives the file
// byte for byte.
void rewriteJsonVector(const TensorFile& file, const MoveTensor& move, ByteSink& out) {
    const JsonDetail& detail = detailOf(file);
    const std::string_view text = detail.text;
    constexpr std::uint64_t signBit = std::uint64_t{1} << 63;
    std::string written;
    std::size_t at = 0;
    for (std::size_t index = 0; index < detail.tensors.size(); ++index) {
        const Numbers& numbers = detail.tensors[index];
        std::unordered_map<std::uint64_t, std::string_view> digits;  // magnitude -> its text
        for (std::size_t i = 0; i < numbers.tokens.size(); ++i) {
            std::string_view token =
                text.substr(numbers.tokens[i].begin, numbers.tokens[i].end - numbers.tokens[i].begin);
            if (token.front() == '-') token.remove_prefix(1);
            digits.emplace(loadLittle<std::uint64_t>(numbers.values.data() + 8 * i) & ~signBit, token);
        }
        MemorySink moved;
        ExactSink exact(moved, file.tensors[index].info.bytes, file.source->name());
        move(index, *jsonTensorBytes(file, index), exact);
        exact.finish();

        for (std::size_t i = 0; i < numbers.tokens.size(); ++i) {
            written += text.substr(at, numbers.tokens[i].begin - at);
            at = numbers.tokens[i].end;
            const std::uint64_t bits = loadLittle<std::uint64_t>(moved.bytes().data() + 8 * i);
            if ((bits & signBit) != 0) written += '-';
            if (const auto found = digits.find(bits & ~signBit); found != digits.end()) {
                written += found->second;
            } else {
                written += numberText(std::bit_cast<double>(bits & ~signBit));
            }
        }
    }
    written += text.substr(at);
    out.write(asBytes(written));
}

}  // namespace regauge
